/** The commands of memcached that the store sends, with answers that can be trusted. */
import { StoreUnavailableError } from "../../errors.ts";

/** How the client answers. `error` is set for what went wrong, and for `add` where there is a value already. */
type Callback<T> = (error: unknown, answer: T) => void;

/** What is called of a `Memcached` of `memcached` 2. */
export interface MemcachedClient {
  get(key: string, callback: Callback<unknown>): unknown;
  gets(key: string, callback: Callback<Record<string, unknown>>): unknown;
  add(key: string, value: string, lifetime: number, callback: Callback<boolean>): unknown;
  cas(key: string, value: string, cas: string, lifetime: number, callback: Callback<boolean>): unknown;
}

/** A value, and what it takes to replace just this one. */
export interface Versioned {
  readonly value: unknown;
  readonly cas: string;
}

/** Commands whose answers are values, and whose failures are `StoreUnavailableError`. */
export interface MemcachedCommands {
  /** The value, or undefined. */
  get(key: string, signal: AbortSignal): Promise<unknown>;
  gets(key: string, signal: AbortSignal): Promise<Versioned | null>;
  /** Answers false where there is a value already. */
  add(key: string, value: string, lifetime: number, signal: AbortSignal): Promise<boolean>;
  /** Answers false when the value is another or gone, and also when the server refused: only looking again can tell. */
  cas(key: string, value: string, cas: string, lifetime: number, signal: AbortSignal): Promise<boolean>;
}

/** Speaks through a client. */
export function memcachedCommands(client: MemcachedClient): MemcachedCommands {
  return {
    async get(key, signal) {
      const answer = await send<unknown>(signal, (callback) => client.get(key, callback));
      return insistOnAnswer(answer);
    },

    async gets(key, signal) {
      const answer = insistOnAnswer(
        await send<Record<string, unknown> | undefined>(signal, (callback) => client.gets(key, callback)),
      );
      if (answer === undefined) return null;
      // The value has the key's own name, with what the client puts before it.
      const { cas, ...values } = answer;
      return { value: Object.values(values)[0], cas: String(cas) };
    },

    async add(key, value, lifetime, signal) {
      const answer = await send<boolean | "taken">(signal, (callback) =>
        client.add(key, value, lifetime, (error, added) =>
          isNotStored(error) ? callback(undefined, "taken") : callback(error, added),
        ),
      );
      if (answer === false) throw refused();
      return answer === true;
    },

    cas: (key, value, cas, lifetime, signal) =>
      send<boolean>(signal, (callback) => client.cas(key, value, cas, lifetime, callback)),
  };
}

/** Waits for one answer. The client forgets commands whose connection breaks: then only the signal ends the wait. */
async function send<T>(signal: AbortSignal, command: (callback: Callback<T>) => unknown): Promise<T> {
  if (signal.aborted) throw stopped(signal);
  let stop = ignore;
  try {
    return await new Promise<T>((resolve, reject) => {
      stop = () => reject(stopped(signal));
      signal.addEventListener("abort", stop);
      command((error, answer) => {
        if (!error) resolve(answer);
        else reject(new StoreUnavailableError("The memcached client failed; see the cause.", { cause: error }));
      });
    });
  } finally {
    signal.removeEventListener("abort", stop);
  }
}

/** An error of the server reaches the caller of the client as `false`, and no error: it must not pass for absence. */
function refused(): StoreUnavailableError {
  return new StoreUnavailableError("memcached refused the command; it may be out of memory.");
}

function insistOnAnswer<T>(answer: T | false): T {
  if (answer === false) throw refused();
  return answer;
}

function isNotStored(error: unknown): boolean {
  return error instanceof Error && "notStored" in error;
}

function stopped(signal: AbortSignal): StoreUnavailableError {
  return new StoreUnavailableError("memcached did not answer before the caller stopped waiting.", {
    cause: signal.reason,
  });
}

function ignore(): void {}
