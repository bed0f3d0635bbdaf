/**
 * Saved before sent, for Node's responses (DESIGN 8.3).
 *
 * The first call that would send headers waits until the session is committed; calls after it are held back in order
 * and then replayed. Nothing waits when there is nothing to write. What changes after the headers is committed before
 * the last byte; if that fails, the connection is cut, so that the client does not take the response for a success.
 */
import { HeadersSentError } from "../../errors.ts";
import { cacheControlFor, type OpenedSession, varyWith } from "../../http/index.ts";

/** The part of `http.ServerResponse` and `http2.Http2ServerResponse` that is used and replaced. */
export interface NodeResponse {
  statusCode: number;
  statusMessage: string;
  readonly headersSent: boolean;
  writeHead(status: number, ...rest: never[]): unknown;
  write(chunk: never, ...rest: never[]): boolean;
  end(...rest: never[]): unknown;
  /** Absent from the published types of `http2`, though it is there. */
  flushHeaders?: (() => void) | undefined;
  getHeader(name: string): number | string | string[] | undefined;
  setHeader(name: string, value: number | string | readonly string[]): unknown;
  removeHeader(name: string): void;
  destroy(error?: Error): unknown;
  emit(event: string, ...args: unknown[]): boolean;
}

type Method = "writeHead" | "write" | "end" | "flushHeaders";
type Arguments = readonly unknown[];
type Send = (...rest: unknown[]) => unknown;

/** What the binding wants to know of a response under guard. */
export interface GuardedResponse {
  /** Whether the handler has finished the response, be it held back still. */
  readonly isEnded: boolean;
}

/** How a binding takes part in a response under guard. */
export interface GuardOptions {
  /** Whether plain data changes are dropped: the handler failed. Asked right before the commit. */
  readonly isFailed: () => boolean;
  /** Called when the commit failed and no header has left; the response is clean and free to answer the error. */
  readonly onCommitFailed: (error: unknown) => void;
}

/** Headers that describe the answer that will not be sent. */
const ENTITY_HEADERS = [
  "content-type",
  "content-length",
  "content-encoding",
  "content-range",
  "content-disposition",
  "content-language",
  "transfer-encoding",
  "etag",
  "last-modified",
  "location",
  "expires",
  "accept-ranges",
];

type Phase =
  /** No header has been asked for. */
  | "open"
  /** The commit before the headers is under way. */
  | "committing"
  /** Headers have left; chunks pass. */
  | "streaming"
  /** The commit before the last byte is under way. */
  | "closing"
  /** The guard is no longer concerned. */
  | "released";

/** Puts a response under guard for the length of one request. */
export function guardResponse(
  response: NodeResponse,
  opened: OpenedSession<object>,
  options: GuardOptions,
): GuardedResponse {
  const send: Record<Method, Send> = {
    writeHead: response.writeHead.bind(response) as Send,
    write: response.write.bind(response) as Send,
    end: response.end.bind(response) as Send,
    flushHeaders: response.flushHeaders?.bind(response) ?? (() => undefined),
  };
  let phase: Phase = "open";
  let isEnded = false;
  let held: { readonly method: Method; readonly args: Arguments }[] = [];

  const headersSent = () => Reflect.get(Object.getPrototypeOf(response) as object, "headersSent", response) === true;
  Object.defineProperty(response, "headersSent", {
    configurable: true,
    get: () => phase === "committing" || headersSent(),
  });

  /** Sends what was held back. The phase has changed before, since Node calls `writeHead` from within. */
  const replay = (): void => {
    const calls = held;
    held = [];
    let isWriting = false;
    let hasRoom = true;
    for (const { method, args } of calls) {
      const answer = method === "writeHead" ? writeHead(args) : send[method](...args);
      if (method !== "write") continue;
      isWriting = true;
      hasRoom = answer !== false;
    }
    // Writers were told to wait when their chunks were held back.
    if (isWriting && hasRoom) response.emit("drain");
  };

  const writeHead = (args: Arguments): unknown => {
    const [status, ...rest] = args;
    const message = typeof rest[0] === "string" ? [rest[0]] : [];
    return send.writeHead(status, ...message);
  };

  /** Commits before the headers leave; synchronously when there is nothing to write. */
  const commitHeaders = (method: Method, args: Arguments): unknown => {
    if (method === "writeHead") takeHeaders(response, args);
    if (options.isFailed()) opened.discard();
    let needsCommit: boolean;
    try {
      needsCommit = opened.needsCommit();
    } catch (error) {
      // The data cannot be stored as it is. Answered from a later turn, as every failed commit is.
      return hold(Promise.reject(error), method, args);
    }
    if (needsCommit) return hold(opened.commit(), method, args);
    addSessionHeaders(response, opened, opened.cookies());
    phase = "streaming";
    return method === "writeHead" ? writeHead(args) : send[method](...args);
  };

  const hold = (commit: Promise<string[]>, method: Method, args: Arguments): unknown => {
    phase = "committing";
    held.push({ method, args });
    commit.then(
      (cookies) => {
        if (phase !== "committing") return;
        addSessionHeaders(response, opened, cookies);
        phase = "streaming";
        replay();
      },
      (error: unknown) => {
        if (phase !== "committing") return;
        held = [];
        phase = "released";
        for (const name of ENTITY_HEADERS) response.removeHeader(name);
        options.onCommitFailed(error);
      },
    );
    return method === "write" ? false : response;
  };

  /** Commits what changed while the body was being sent, before its last byte. */
  const commitEnd = (args: Arguments): unknown => {
    let commit: Promise<string[]>;
    try {
      if (options.isFailed()) opened.discard();
      if (!opened.needsCommit()) {
        phase = "released";
        return send.end(...args);
      }
      commit = opened.commit();
    } catch (error) {
      commit = Promise.reject(error);
    }
    phase = "closing";
    commit.then(
      (cookies) => {
        phase = "released";
        if (cookies.length === 0) send.end(...args);
        else response.destroy(new HeadersSentError("A session was begun after the headers had left."));
      },
      () => {
        phase = "released";
        response.destroy();
      },
    );
    return response;
  };

  const guard =
    (method: Method): Send =>
    (...args) => {
      if (method === "end") isEnded = true;
      if (phase === "open") return commitHeaders(method, args);
      if (phase === "streaming" && method === "end") return commitEnd(args);
      if (phase === "streaming" || phase === "released") return send[method](...args);
      if (phase === "committing") held.push({ method, args });
      return method === "write" ? false : response;
    };

  response.writeHead = guard("writeHead");
  response.write = guard("write") as NodeResponse["write"];
  response.end = guard("end");
  response.flushHeaders = guard("flushHeaders");

  return {
    get isEnded() {
      return isEnded;
    },
  };
}

/** Takes the headers given to `writeHead` over into the response, where the session's can join them. */
function takeHeaders(response: NodeResponse, args: Arguments): void {
  const headers = typeof args[1] === "string" ? args[2] : args[1];
  if (typeof headers !== "object" || headers === null) return;
  if (!Array.isArray(headers)) {
    for (const [name, value] of Object.entries(headers)) response.setHeader(name, value as string);
    return;
  }
  const pairs: unknown[] = Array.isArray(headers[0]) ? headers : chunkPairs(headers);
  const seen = new Map<string, string[]>();
  for (const pair of pairs) {
    const [name, value] = pair as [string, string];
    const values = [...(seen.get(name) ?? []), ...[value].flat()];
    seen.set(name, values);
    response.setHeader(name, values.length === 1 ? (values[0] as string) : values);
  }
}

function chunkPairs(flat: readonly unknown[]): unknown[] {
  return flat.flatMap((name, index) => (index % 2 === 0 ? [[name, flat[index + 1]]] : []));
}

function addSessionHeaders(response: NodeResponse, opened: OpenedSession<object>, cookies: readonly string[]): void {
  if (cookies.length > 0) {
    const others = [response.getHeader("set-cookie") ?? []].flat().map(String);
    response.setHeader("Set-Cookie", [...others, ...cookies]);
  }
  if (cookies.length === 0 && !opened.isUsed) return;
  response.setHeader("Cache-Control", cacheControlFor(textOf(response.getHeader("cache-control"))));
  response.setHeader("Vary", varyWith(textOf(response.getHeader("vary")), opened.varyOn));
}

function textOf(value: number | string | string[] | undefined): string | null {
  return value === undefined ? null : [value].flat().join(", ");
}
