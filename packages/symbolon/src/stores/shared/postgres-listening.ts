/** Hears what other processes tell through PostgreSQL's `NOTIFY`, on a connection of its own. */
import { setTimeout as delay } from "node:timers/promises";
import type { Closing, Invalidations } from "../../core/store.ts";
import { StoreUnavailableError } from "../../errors.ts";
import { listeners } from "./listeners.ts";
import { unlessAborted } from "./sql-client.ts";

/** A connection that listens. */
export interface PostgresLink {
  /** Resolves when messages may have been missed. */
  readonly broken: Promise<void>;
  /** Resolves when the server has answered on it; may never do so where nothing answers. */
  check(): Promise<unknown>;
  /** Lets it go; may be called again. */
  close(): void;
}

/** Opens a connection that listens, or gives up when the signal is aborted. */
export type OpenLink = (channel: string, hear: (message: string) => void, signal: AbortSignal) => Promise<PostgresLink>;

const OPEN_WITHIN_MS = 5000;
const FIRST_PAUSE_MS = 100;
const LONGEST_PAUSE_MS = 5000;

// So a connection that leads nowhere is found out within three seconds.
const CHECK_EVERY_MS = 1000;
const CHECK_WITHIN_MS = 2000;

/** From the first subscription to the last. */
interface Run {
  readonly end: AbortController;
  /** Resolved while the link is up; else the attempt to open it that goes on or comes next. */
  isUp: Promise<unknown>;
  over: Promise<void>;
}

/** Makes what is not connected before somebody subscribes. */
export function postgresListening(openLink: OpenLink, channel: string): Invalidations & Closing {
  const told = listeners();
  let run: Run | null = null;
  let isClosed = false;

  function hear(message: string): void {
    const subject = message.slice(1);
    if (message.startsWith("c")) told.changed(subject);
    if (message.startsWith("r")) told.released(subject);
  }

  function begin(): Run {
    const begun = { end: new AbortController(), isUp: Promise.resolve(), over: Promise.resolve() };
    begun.over = keepUp(begun);
    return begun;
  }

  async function open(pause: number, signal: AbortSignal): Promise<PostgresLink> {
    await delay(pause, undefined, { signal, ref: false });
    return within(OPEN_WITHIN_MS, signal, (limit) => openLink(channel, hear, limit));
  }

  /** Opens the link, and opens it again whenever it broke. */
  async function keepUp(current: Run): Promise<void> {
    const { signal } = current.end;
    let pause = FIRST_PAUSE_MS;
    let opening = open(0, signal);
    for (let isLost = false; ; isLost = true) {
      current.isUp = opening;
      const link = await opening.catch(() => null);
      pause = link === null ? Math.min(pause * 2, LONGEST_PAUSE_MS) : FIRST_PAUSE_MS;
      if (link !== null) {
        if (isLost) told.restored();
        await untilBroken(link, signal);
        link.close();
      }
      if (signal.aborted) return;
      opening = open(pause, signal);
      // Who subscribes from here on waits for the next link.
      current.isUp = opening;
      if (link !== null) told.lost();
    }
  }

  async function end(): Promise<void> {
    const ended = run;
    run = null;
    ended?.end.abort();
    await ended?.over;
  }

  return {
    async subscribe(listener, { signal }) {
      if (isClosed) throw new StoreUnavailableError("The store is closed; nothing is listened to.");
      run ??= begin();
      const remove = told.add(listener);
      const stop = async (): Promise<void> => {
        remove();
        if (told.count === 0) await end();
      };
      try {
        await unlessAborted(run.isUp, signal);
        return stop;
      } catch (cause) {
        void stop();
        throw new StoreUnavailableError("The PostgreSQL client could not listen; see the cause.", { cause });
      }
    },

    async close() {
      isClosed = true;
      await end();
    },
  };
}

/** Waits until the link is broken, or answers no more, or is not wanted any more. */
async function untilBroken(link: PostgresLink, signal: AbortSignal): Promise<void> {
  let isBroken = false;
  const broken = link.broken.then(() => void (isBroken = true));
  for (;;) {
    await Promise.race([broken, delay(CHECK_EVERY_MS, undefined, { signal, ref: false }).catch(() => undefined)]);
    if (isBroken || signal.aborted) return;
    try {
      await within(CHECK_WITHIN_MS, signal, (limit) => Promise.race([broken, unlessAborted(link.check(), limit)]));
    } catch {
      return;
    }
  }
}

/**
 * Gives work so many milliseconds, and no longer than the signal lets it. Not by `AbortSignal.any` and
 * `AbortSignal.timeout`: Node 20 lets the collector have those before they abort anything.
 */
async function within<T>(ms: number, signal: AbortSignal, work: (limit: AbortSignal) => Promise<T>): Promise<T> {
  const limit = new AbortController();
  const stop = (): void => limit.abort();
  const timer = setTimeout(stop, ms).unref();
  signal.addEventListener("abort", stop, { once: true });
  if (signal.aborted) stop();
  try {
    return await work(limit.signal);
  } finally {
    clearTimeout(timer);
    signal.removeEventListener("abort", stop);
  }
}
