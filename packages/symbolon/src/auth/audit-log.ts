/**
 * An audit log: each event of a manager becomes one entry, and by `ndjsonSink` one line of JSON.
 *
 * An entry holds what its event says and nothing else: no token, no key, no data, of an error no cause and no stack.
 * Entries are written after one another and beside the requests: a log that is slow, full or gone fails none.
 */
import { close, fstat, open, openSync, type PathLike, write } from "node:fs";
import { promisify } from "node:util";
import { checkFunction, refuseUnknown, wholeNumber } from "../core/checks.ts";
import type { SessionEvent } from "../core/events.ts";
import type { SessionManager } from "../core/manager.ts";
import { isSymbolonError, OptionsError } from "../errors.ts";

/** What an entry may hold. */
export type AuditValue =
  | string
  | number
  | boolean
  | null
  | readonly AuditValue[]
  | { readonly [name: string]: AuditValue };

/** An event, made loggable: what it says stands beside these. Texts have at most 500 characters. */
export interface AuditEntry {
  readonly type: string;
  /** ISO 8601, UTC. */
  readonly time: string;
  /** The same, in ms since the epoch. */
  readonly at: number;
  readonly [fact: string]: AuditValue;
}

/** Where entries go. */
export interface AuditSink {
  /** Takes one entry while a request waits: returns at once, and must not throw. What is thrown becomes a warning. */
  write(entry: AuditEntry): void;
  /** Settles when all entries taken so far are written or given up; none is taken afterwards. Never rejects. */
  close(): Promise<void>;
}

/**
 * Writes every event of a manager to a sink from now on; the returned function stops that, and leaves the sink open.
 *
 * @example
 * const sink = ndjsonSink("/var/log/app/audit.ndjson");
 * const stop = auditLog(sessions, sink);
 */
export function auditLog(sessions: Pick<SessionManager, "on">, sink: AuditSink): () => void {
  return sessions.on("*", (event) => sink.write(entryOf(event)));
}

const MAX_TEXT = 500;
const MAX_ITEMS = 100;
const MAX_DEPTH = 3;

function entryOf({ type, at, ...facts }: SessionEvent): AuditEntry {
  const entries = Object.entries(facts).map(([name, value]): [string, AuditValue] => [
    name,
    name === "error" ? describeError(value) : loggable(value, 0),
  ]);
  return { type, time: new Date(at).toISOString(), at, ...Object.fromEntries(entries) };
}

/** Of the errors of others the name alone: their messages may hold anything. */
function describeError(error: unknown): AuditValue {
  if (isSymbolonError(error)) return { name: cut(error.name), code: error.code, message: cut(error.message) };
  return { name: error instanceof Error ? cut(error.name) : typeof error };
}

/** A copy with texts cut and only what JSON can hold; what else there is becomes null. */
function loggable(value: unknown, depth: number): AuditValue {
  if (typeof value === "string") return cut(value);
  if (typeof value === "boolean" || (typeof value === "number" && Number.isFinite(value))) return value;
  if (depth === MAX_DEPTH) return null;
  if (Array.isArray(value)) return value.slice(0, MAX_ITEMS).map((item) => loggable(item, depth + 1));
  if (!isPlain(value)) return null;
  const entries = Object.entries(value).slice(0, MAX_ITEMS);
  return Object.fromEntries(entries.map(([name, item]) => [cut(name), loggable(item, depth + 1)]));
}

function isPlain(value: unknown): value is object {
  return typeof value === "object" && value !== null && Object.getPrototypeOf(value) === Object.prototype;
}

/** Half a character, by the cut or by its sender, is no text. */
function cut(text: string): string {
  return text.slice(0, MAX_TEXT).replace(/\p{Surrogate}/gu, "\ufffd");
}

/** The part of a Node stream that is used. */
export interface WritableLike {
  write(line: string, written: (error?: Error | null) => void): unknown;
  on?(event: "error", listener: (error: Error) => void): unknown;
}

/** Settings of `ndjsonSink`. */
export interface NdjsonSinkOptions {
  /** How many entries may wait to be written; more are lost, and counted. Default 10 000. */
  readonly maxWaiting?: number;
  /** Told of everything that fails. The first failure is a process warning, too. */
  readonly onError?: (error: unknown) => void;
}

/** A sink that writes lines. */
export interface NdjsonSink extends AuditSink {
  /**
   * Opens the file at the path anew, after the entries taken so far: for logs that are rotated by renaming. When that
   * fails, the file that was open stays so. Does nothing to a stream. Never rejects.
   *
   * @example
   * process.on("SIGHUP", () => void sink.reopen());
   */
  reopen(): Promise<void>;
}

/**
 * Writes entries as NDJSON: one line and one write each, in their order. Nothing an entry holds can begin a line or
 * steer a terminal: control and format characters are escaped.
 *
 * A path is opened at once, to append; a new file is for its owner alone (mode 0600). Several processes may share a file
 * on a local disk: their lines do not mix. A stream is neither opened nor closed here, its errors are handled, and
 * `close` waits until it has answered.
 *
 * Entries that find too many waiting, or whose writing failed, are lost. The next line says how many, with the time of
 * the last of them: `{"type":"audit-lost",...,"count":2}`. Await `close()` before `process.exit()`.
 *
 * @throws {OptionsError} when the file cannot be opened, or an option is wrong.
 */
export function ndjsonSink(target: string | URL | WritableLike, options: NdjsonSinkOptions = {}): NdjsonSink {
  refuseUnknown(options, ["maxWaiting", "onError"], "ndjsonSink.");
  const maxWaiting = wholeNumber(options.maxWaiting ?? 10_000, 1, 10_000_000, "ndjsonSink.maxWaiting");
  return new LineSink(outletOf(target), maxWaiting, checkFunction(options.onError, "ndjsonSink.onError"));
}

function outletOf(target: string | URL | WritableLike): Outlet {
  if (typeof target === "string" || target instanceof URL) return new AppendedFile(target);
  if (typeof target?.write === "function") return new BorrowedStream(target);
  throw new OptionsError("target: pass a path, a file URL or a stream.");
}

/** What lines are written to. One call at a time. */
interface Outlet {
  write(line: string): Promise<void>;
  reopen(): Promise<void>;
  close(): Promise<void>;
}

class LineSink implements NdjsonSink {
  readonly #outlet: Outlet;
  readonly #maxWaiting: number;
  readonly #onError: ((error: unknown) => void) | undefined;
  /** The last of the steps, which are taken one after the other. None rejects. */
  #last: Promise<void> = Promise.resolve();
  #waiting = 0;
  #lost = 0;
  #lastLost: AuditEntry | null = null;
  #closing: Promise<void> | null = null;
  #isWarned = false;

  constructor(outlet: Outlet, maxWaiting: number, onError: ((error: unknown) => void) | undefined) {
    this.#outlet = outlet;
    this.#maxWaiting = maxWaiting;
    this.#onError = onError;
  }

  write(entry: AuditEntry): void {
    if (this.#closing !== null) return this.#report(new Error("The audit log is closed."));
    if (this.#waiting >= this.#maxWaiting) return this.#lose(entry);
    this.#waiting++;
    void this.#enqueue(async () => {
      try {
        await this.#tellLosses();
        await this.#outlet.write(lineOf(entry));
      } catch (error) {
        this.#lose(entry);
        throw error;
      } finally {
        this.#waiting--;
      }
    });
  }

  reopen(): Promise<void> {
    return this.#closing ?? this.#enqueue(() => this.#outlet.reopen());
  }

  close(): Promise<void> {
    if (this.#closing === null) void this.#enqueue(() => this.#tellLosses());
    this.#closing ??= this.#enqueue(() => this.#outlet.close());
    return this.#closing;
  }

  #enqueue(step: () => Promise<void>): Promise<void> {
    this.#last = this.#last.then(step).catch((error: unknown) => this.#report(error));
    return this.#last;
  }

  #lose(entry: AuditEntry): void {
    this.#lost++;
    this.#lastLost = entry;
  }

  async #tellLosses(): Promise<void> {
    if (this.#lastLost === null || this.#lost === 0) return;
    const count = this.#lost;
    const { time, at } = this.#lastLost;
    await this.#outlet.write(lineOf({ type: "audit-lost", time, at, count }));
    // Meanwhile there may be more.
    this.#lost -= count;
  }

  #report(error: unknown): void {
    if (!this.#isWarned) warn(error);
    this.#isWarned = true;
    try {
      this.#onError?.(error);
    } catch {
      // Nobody is left to be told.
    }
  }
}

/** Says no more than a code: the message of a stream's error may hold anything. */
function warn(error: unknown): void {
  const code =
    error instanceof Error && "code" in error && typeof error.code === "string" ? cut(error.code) : "unknown";
  process.emitWarning(
    `The audit log could not be written (${code}); the option onError is told why.`,
    "SymbolonWarning",
  );
}

/** What JSON leaves as it is, and a terminal or a viewer may obey: controls, formats, separators of lines. */
const UNPRINTABLE = /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu;

function lineOf(entry: AuditEntry): string {
  return `${JSON.stringify(entry).replace(UNPRINTABLE, escaped)}\n`;
}

function escaped(character: string): string {
  return character.replace(/[\s\S]/g, (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, "0")}`);
}

const [openFile, readStatus] = [promisify(open), promisify(fstat)];
const [writeBytes, closeFile] = [promisify(write), promisify(close)];
const OWNER_ONLY = 0o600;
const NEWLINE = 10;

/** A file that is only ever appended to. */
class AppendedFile implements Outlet {
  readonly #path: PathLike;
  #descriptor: number;
  #isTorn = false;

  constructor(path: PathLike) {
    this.#path = path;
    try {
      this.#descriptor = openSync(path, "a", OWNER_ONLY);
    } catch (error) {
      throw new OptionsError("target: this file cannot be opened to append to it; see the cause.", { cause: error });
    }
  }

  async write(line: string): Promise<void> {
    // Half a line, left by a disk that was full, gets its end, so that the next one is whole.
    const bytes = Buffer.from(this.#isTorn ? `\n${line}` : line);
    const { bytesWritten } = await writeBytes(this.#descriptor, bytes);
    if (bytesWritten > 0) this.#isTorn = bytes[bytesWritten - 1] !== NEWLINE;
    if (bytesWritten < bytes.length) throw new Error("The audit log took a part of a line only.");
  }

  async reopen(): Promise<void> {
    const before = this.#descriptor;
    this.#descriptor = await openFile(this.#path, "a", OWNER_ONLY);
    await closeFile(before);
    // The same file again, if it was not renamed.
    if (this.#isTorn) this.#isTorn = (await readStatus(this.#descriptor)).size > 0;
  }

  async close(): Promise<void> {
    await closeFile(this.#descriptor);
  }
}

/** The caller's own stream. */
class BorrowedStream implements Outlet {
  readonly #stream: WritableLike;

  constructor(stream: WritableLike) {
    this.#stream = stream;
    // A write that fails says so itself; without a listener the event would end the process.
    stream.on?.("error", () => undefined);
  }

  write(line: string): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#stream.write(line, (error) => (error ? reject(error) : resolve()));
    });
  }

  async reopen(): Promise<void> {}

  async close(): Promise<void> {}
}
