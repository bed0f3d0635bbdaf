/** Messages of what is written, heard on a connection of their own. */
import { randomBytes } from "node:crypto";
import { setTimeout as sleep } from "node:timers/promises";
import type { InvalidationListener, StoreCall } from "../../core/store.ts";
import { StoreUnavailableError } from "../../errors.ts";
import { listeners } from "./listeners.ts";
import { unavailable } from "./redis-calls.ts";
import { original } from "./redis-entry.ts";
import type { MessageLink, RedisLink } from "./redis-links.ts";

/** What is heard on one channel. */
export interface RedisMessages {
  subscribe(listener: InvalidationListener, call: StoreCall): Promise<() => Promise<void>>;
  close(): Promise<void>;
}

/** So often the connection is tried, by a message of its own. */
const BEAT_MS = 1000;
/** After so many that were not heard it is lost. */
const MOST_UNHEARD = 3;
const MOST_PAUSE_MS = 2000;

/** A connection that is open. */
interface Open {
  readonly link: MessageLink;
  readonly beat: NodeJS.Timeout;
}

/**
 * Listens on a channel from the first listener to the last.
 *
 * A connection may be dead, or be to a server that no longer hears of anything, and tell nothing: so a message is sent
 * through the client every second on a channel of the connection's own, and three that were not heard mean `lost`.
 */
export function redisMessages(link: RedisLink, channel: string): RedisMessages {
  const told = listeners();
  let open: Open | null = null;
  let opening: Promise<void> | null = null;
  let isLost = false;
  let isClosed = false;

  function hear(message: string): void {
    const name = original(message.slice(1));
    if (message.startsWith("c")) told.changed(name);
    else if (message.startsWith("r")) told.released(name);
  }

  async function connect(): Promise<void> {
    const own = `${channel}:${randomBytes(9).toString("base64url")}`;
    let unheard = 0;
    let isBroken = false;
    let connection: MessageLink | null = null;
    connection = await link.listen(
      [channel, own],
      (from, message) => {
        if (from === own) unheard = 0;
        else hear(message);
      },
      () => {
        isBroken = true;
        lose(connection);
      },
    );
    if (isBroken || isClosed || told.count === 0) {
      connection.close();
      throw new StoreUnavailableError("The connection for messages broke.");
    }
    const beat = setInterval(() => {
      if (++unheard > MOST_UNHEARD) return lose(connection);
      link.send(channel, ["PUBLISH", own, ""]).catch(() => undefined);
    }, BEAT_MS);
    beat.unref();
    open = { link: connection, beat };
    if (!isLost) return;
    isLost = false;
    told.restored();
  }

  async function connected(): Promise<void> {
    if (open !== null) return;
    await (opening ??= connect().finally(() => {
      opening = null;
    }));
  }

  function shut(): void {
    if (open === null) return;
    clearInterval(open.beat);
    open.link.close();
    open = null;
  }

  function lose(connection: MessageLink | null): void {
    if (open === null || open.link !== connection) return;
    shut();
    isLost = true;
    told.lost();
    void reconnect();
  }

  function isWanted(): boolean {
    return open === null && told.count > 0 && !isClosed;
  }

  async function reconnect(): Promise<void> {
    for (let pause = 50; isWanted(); pause = Math.min(pause * 2, MOST_PAUSE_MS)) {
      try {
        await connected();
      } catch {
        await sleep(pause, undefined, { ref: false });
      }
    }
  }

  function leave(): void {
    if (told.count > 0) return;
    shut();
    isLost = false;
  }

  return {
    async subscribe(listener, call) {
      if (isClosed) throw new StoreUnavailableError("The store was closed.");
      const stop = told.add(listener);
      try {
        await orAborted(connected(), call.signal);
      } catch (error) {
        stop();
        leave();
        throw unavailable(error);
      }
      return async () => {
        stop();
        leave();
      };
    },

    async close() {
      isClosed = true;
      shut();
    },
  };
}

/** Waits for the work, but not when nobody waits for it any more. */
async function orAborted(work: Promise<void>, signal: AbortSignal): Promise<void> {
  const over = new AbortController();
  const aborted = new Promise<never>((_resolve, reject) => {
    const stop = (): void => reject(new StoreUnavailableError("The caller no longer waits."));
    signal.addEventListener("abort", stop, { once: true, signal: over.signal });
    if (signal.aborted) stop();
  });
  try {
    await Promise.race([work, aborted]);
  } finally {
    over.abort();
  }
}
