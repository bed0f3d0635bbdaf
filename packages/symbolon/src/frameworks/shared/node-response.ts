/**
 * Saved before sent, for Node's responses (DESIGN 8.3).
 *
 * The first call that would send headers waits until the session is committed; calls after it are held back in order
 * and then replayed. Nothing waits when there is nothing to write. What changes after the headers is committed before
 * the last byte; if that fails, the connection is cut, so that the client does not take the response for a success.
 */
import { cacheControlFor, type OpenedSession, type OpenOptions, varyWith } from "../../http/index.ts";

/** The part of `http.ServerResponse` and `http2.Http2ServerResponse` that is used and replaced. */
export interface NodeResponse {
  statusCode: number;
  statusMessage: string;
  readonly headersSent: boolean;
  readonly writableEnded: boolean;
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
  once(event: "close", listener: () => void): unknown;
}

type Method = "writeHead" | "write" | "end" | "flushHeaders";
type Arguments = readonly unknown[];
type Send = (...rest: unknown[]) => unknown;

/** What the binding wants to know of a response under guard. */
export interface GuardedResponse {
  /** Whether the handler has finished the response, be it held back still. */
  isEnded(): boolean;
}

/** How a binding takes part in a response under guard. */
export interface GuardOptions {
  /** Whether plain data changes are dropped: the handler failed. Asked right before the commit. */
  readonly isFailed: () => boolean;
  /** Called when the commit failed; unless headers have left, the response is clean and free to answer the error. */
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
  | "released"
  /** The answer was given up for the error's; what the handler still sends after that goes nowhere. */
  | "answering";

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

  /** Sends what was held back. The phase has changed before, since Node calls `writeHead` from within. */
  const replay = (): void => {
    const [first, ...later] = held;
    held = [];
    let isWriting = false;
    let hasRoom = true;
    const sendOne = (method: Method, answer: unknown): void => {
      if (method !== "write") return;
      isWriting = true;
      hasRoom = answer !== false;
    };
    if (first !== undefined) sendOne(first.method, sendFirst(first.method, first.args));
    // What changed since the first call is not in the store yet.
    for (const { method, args } of later) sendOne(method, method === "end" ? commitEnd(args) : send[method](...args));
    // Writers were told to wait when their chunks were held back.
    if (isWriting && hasRoom) response.emit("drain");
  };

  /** Headers given to `writeHead` have been taken over before. */
  const sendFirst = (method: Method, args: Arguments): unknown => {
    if (method !== "writeHead") return send[method](...args);
    const [status, message] = args;
    return typeof message === "string" ? send.writeHead(status, message) : send.writeHead(status);
  };

  /** Gives the answer up for that of the error; what was committed before stays, and so do its cookies. */
  const giveUp = (error: unknown): void => {
    held = [];
    // First, since while it is "committing" the headers look sent.
    phase = "answering";
    if (response.headersSent) {
      phase = "released";
      options.onCommitFailed(error);
      response.destroy(asError(error));
      return;
    }
    letLateHeadersPass(response);
    clearAnswer(response);
    opened.discard();
    addSessionHeaders(response, opened, opened.cookies());
    options.onCommitFailed(error);
  };

  /** Commits before the headers leave; synchronously when there is nothing to write. */
  const commitHeaders = (method: Method, args: Arguments): unknown => {
    if (method === "writeHead") {
      if (!isStatus(args[0])) return send.writeHead(...args);
      response.statusCode = Number(args[0]);
      takeHeaders(response, args);
    }
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
    return sendFirst(method, args);
  };

  const hold = (commit: Promise<string[]>, method: Method, args: Arguments): unknown => {
    phase = "committing";
    held.push({ method, args });
    showHeldHeaders(response, () => phase === "committing");
    commit
      .then((cookies) => {
        addSessionHeaders(response, opened, cookies);
        phase = "streaming";
        replay();
      })
      .catch(giveUp);
    return method === "write" ? false : response;
  };

  /** Commits what changed while the body was being sent, before its last byte. */
  const commitEnd = (args: Arguments): unknown => {
    if (options.isFailed()) opened.discard();
    if (!opened.needsLateCommit()) {
      phase = "released";
      return send.end(...args);
    }
    phase = "closing";
    // A moment later: some end a response and destroy it in one breath, to say that it failed.
    Promise.resolve()
      .then(() => {
        if (options.isFailed()) opened.discard();
        return opened.commitLate();
      })
      .then(() => {
        phase = "released";
        send.end(...args);
      })
      .catch((error: unknown) => {
        phase = "released";
        // With an error: without one, HTTP/2 would end the stream as if all were well.
        response.destroy(asError(error));
      });
    return response;
  };

  const guard =
    (method: Method): Send =>
    (...args) => {
      const wasEnded = isEnded;
      if (method === "end") isEnded = true;
      const nothing = method === "write" ? false : response;
      switch (phase) {
        case "open":
          return commitHeaders(method, args);
        case "committing":
          // The headers are on their way already, whoever asks for them again.
          if (!wasEnded && (method === "write" || method === "end")) held.push({ method, args });
          return nothing;
        case "streaming":
          return method === "end" ? commitEnd(args) : send[method](...args);
        case "answering":
          return response.writableEnded ? nothing : send[method](...args);
        case "released":
          return send[method](...args);
        default:
          return nothing;
      }
    };

  response.writeHead = guard("writeHead");
  response.write = guard("write") as NodeResponse["write"];
  response.end = guard("end");
  response.flushHeaders = guard("flushHeaders");

  // No getter: its shape, made anew for each response, would keep all of the request until a full collection.
  return { isEnded: () => isEnded };
}

/**
 * Lets the session's lock end once the client goes away, be it before the request has it: nothing may ever be answered
 * then. The returned function is told of the request's session when it has.
 */
export function endLockOnClose(response: NodeResponse, { lock }: OpenOptions): (opened: OpenedSession<object>) => void {
  if (lock === undefined || lock === false) return () => undefined;
  let isClosed = false;
  let known: OpenedSession<object> | null = null;
  response.once("close", () => {
    isClosed = true;
    known?.letLockEnd();
  });
  return (opened) => {
    known = opened;
    if (isClosed) opened.letLockEnd();
  };
}

/** Takes back what describes an answer that will not be sent. */
export function clearAnswer(response: NodeResponse): void {
  for (const name of ENTITY_HEADERS) response.removeHeader(name);
  // Always empty in HTTP/2, which warns of every change.
  if (response.statusMessage) response.statusMessage = "";
}

/**
 * Drops headers that come after the headers, instead of throwing: handler and error handler may both be answering, and
 * Express sets those of its error page from a callback, where nobody catches.
 */
function letLateHeadersPass(response: NodeResponse): void {
  const setHeader = response.setHeader.bind(response);
  const removeHeader = response.removeHeader.bind(response);
  response.setHeader = (name, value) => (response.headersSent ? response : setHeader(name, value));
  response.removeHeader = (name) => (response.headersSent ? undefined : removeHeader(name));
}

/**
 * Lets the handler find the headers on their way while they are held back. Defined only on responses that have to
 * wait, and left there: taking a property away again would slow the object down for good. The getter is the same for all
 * responses: one of its own would keep the response in memory until a full collection.
 */
function showHeldHeaders(response: HeldResponse, isHeld: () => boolean): void {
  const others = response[HOLDERS];
  if (others !== undefined) {
    others.push(isHeld);
    return;
  }
  response[HOLDERS] = [isHeld];
  Object.defineProperty(response, "headersSent", { configurable: true, get: areHeadersSentOrHeld });
}

/** Who holds the headers of a response back; bindings of several managers may be around one. */
const HOLDERS = Symbol("holders");

interface HeldResponse extends NodeResponse {
  [HOLDERS]?: (() => boolean)[];
}

function areHeadersSentOrHeld(this: HeldResponse): unknown {
  if (this[HOLDERS]?.some((isHeld) => isHeld()) === true) return true;
  return Reflect.get(Object.getPrototypeOf(this) as object, "headersSent", this);
}

/** Says later whether the application has destroyed the response, as it does with one that failed after its headers. */
export function watchDestroy(response: NodeResponse): () => boolean {
  const watched: WatchedResponse = response;
  if (watched[DESTROY] === undefined) {
    watched[DESTROY] = response.destroy.bind(response);
    // The same function for all responses: one of its own would keep the response until a full collection.
    response.destroy = destroyNoted;
  }
  return () => watched[IS_CUT] === true;
}

const DESTROY = Symbol("destroy");
const IS_CUT = Symbol("is cut");

interface WatchedResponse extends NodeResponse {
  [DESTROY]?: NodeResponse["destroy"];
  [IS_CUT]?: boolean;
}

function destroyNoted(this: WatchedResponse, error?: Error): unknown {
  this[IS_CUT] = true;
  return this[DESTROY]?.(error);
}

/** What Node takes for a status; it refuses others itself. */
function isStatus(value: unknown): boolean {
  return Number(value) >= 100 && Number(value) <= 999;
}

function asError(error: unknown): Error {
  return error instanceof Error ? error : new Error("The response failed.", { cause: error });
}

/** Takes the headers given to `writeHead` over into the response, where the session's can join them. */
function takeHeaders(response: NodeResponse, args: Arguments): void {
  const headers = args.slice(1).find((argument) => typeof argument === "object" && argument !== null);
  if (headers === undefined) return;
  if (!Array.isArray(headers)) {
    for (const [name, value] of Object.entries(headers)) response.setHeader(name, value as string);
    return;
  }
  const pairs: unknown[] = Array.isArray(headers[0]) ? headers : chunkPairs(headers);
  const seen = new Map<string, string[]>();
  for (const pair of pairs) {
    const [name, value] = pair as [string, string];
    const values = [...(seen.get(name.toLowerCase()) ?? []), ...[value].flat()];
    seen.set(name.toLowerCase(), values);
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
