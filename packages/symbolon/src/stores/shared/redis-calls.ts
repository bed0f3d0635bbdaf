/** Sending scripts and commands: what fails, what is repeated, and what is told of it. */
import { setTimeout as sleep } from "node:timers/promises";
import type { StoreCall } from "../../core/store.ts";
import { StoreUnavailableError } from "../../errors.ts";
import type { Command, RedisLink, Word } from "./redis-links.ts";
import type { RedisScript } from "./redis-scripts.ts";
import type { Warnings } from "./warnings.ts";

/** How many replicas must have heard of what ended, and how long that is waited for. */
export interface ReplicaWait {
  readonly replicas: number;
  /** Milliseconds. */
  readonly timeout: number;
}

/** A script's reply: bulk strings are Buffers. */
export type Reply = Buffer | number | string | null | readonly Reply[];

/** Calls to Redis, under the rules of a store. */
export interface RedisCalls {
  /** Runs a command. A late read harms nobody, so `signal` is not looked at before it is sent. */
  read(key: string, command: Command, call: StoreCall): Promise<Reply>;
  /** Runs a script that only reads, or of which a late run harms nobody. */
  query(script: RedisScript, keys: readonly string[], words: readonly Word[], call: StoreCall): Promise<Reply>;
  /** Runs a script on keys that are all in the slot of the first one; taken back, if it still can, when `signal` aborts. */
  run(script: RedisScript, keys: readonly string[], words: readonly Word[], call: StoreCall): Promise<Reply>;
  /** As `run`, and then waits for replicas if the store was told to. */
  runEnding(script: RedisScript, keys: readonly string[], words: readonly Word[], call: StoreCall): Promise<Reply>;
}

/** These say that nothing was done, and that the same may work soon. */
const NOT_DONE =
  /^(?:ERR Error running script.*?-|-)?(READONLY|LOADING|MASTERDOWN|CLUSTERDOWN|TRYAGAIN|NOREPLICAS|BUSY)\b/s;
const ROUNDS = 30;
const MOST_PAUSE_MS = 500;

/** Calls through a link. `ready` is asked before each; `wait` is null for no waiting. */
export function redisCalls(
  link: RedisLink,
  ready: () => Promise<void> | null,
  wait: ReplicaWait | null,
  warnings: Warnings,
): RedisCalls {
  async function attempt<T>(call: StoreCall, work: () => Promise<T>): Promise<T> {
    const checking = ready();
    if (checking !== null) await checking;
    try {
      return await work();
    } catch (error) {
      return attemptAgain(call, work, error);
    }
  }

  async function attemptAgain<T>(call: StoreCall, work: () => Promise<T>, first: unknown): Promise<T> {
    let error = first;
    for (let round = 1; ; round++) {
      const refusal = NOT_DONE.exec(messageOf(error))?.[1];
      if (refusal === undefined || round >= ROUNDS || call.signal.aborted) throw unavailable(error);
      if (refusal === "READONLY") link.reconnect();
      await pause(round, call.signal, error);
      try {
        return await work();
      } catch (another) {
        error = another;
      }
    }
  }

  /** As `attempt`, with as little as possible kept while the answer is waited for: of these there are the most. */
  function read(key: string, command: Command, call: StoreCall): Promise<Reply> {
    const send = (): Promise<Reply> => link.send(key, command) as Promise<Reply>;
    const work = (): Promise<Reply> => send().catch((error: unknown) => attemptAgain(call, send, error));
    const checking = ready();
    return checking === null ? work() : checking.then(work);
  }

  function runWith<T>(
    script: RedisScript,
    keys: readonly string[],
    words: readonly Word[],
    call: StoreCall,
    send: (key: string, command: Command) => Promise<T>,
  ): Promise<T> {
    const [first = ""] = keys;
    return attempt(call, () => {
      if (call.signal.aborted) throw new StoreUnavailableError("Nothing was sent: the caller no longer waits.");
      return withText(script, [`${keys.length}`, ...keys, ...words], (command) => send(first, command));
    });
  }

  async function run(script: RedisScript, keys: readonly string[], words: readonly Word[], call: StoreCall) {
    return (await runWith(script, keys, words, call, (key, command) => link.send(key, command, call.signal))) as Reply;
  }

  async function query(script: RedisScript, keys: readonly string[], words: readonly Word[], call: StoreCall) {
    return (await runWith(script, keys, words, call, (key, command) => link.send(key, command))) as Reply;
  }

  async function runAndWait(
    { replicas, timeout }: ReplicaWait,
    ...[script, keys, words, call]: Parameters<RedisCalls["runEnding"]>
  ): Promise<Reply> {
    const waiting: Command = ["WAIT", `${replicas}`, `${timeout}`];
    const [reply, heard] = await runWith(script, keys, words, call, async (key, command) => {
      try {
        return await link.sendBoth(key, command, waiting);
      } catch (error) {
        // The slot is elsewhere now. Clients follow one command, but not two.
        if (!/^(?:MOVED|ASK) /.test(messageOf(error))) throw error;
        return [await link.send(key, command), 0] as const;
      }
    });
    if (Number(heard) < replicas) warnings.warn(REPLICATION_LATE);
    return reply as Reply;
  }

  return {
    read,
    query,
    run,
    runEnding: wait === null ? run : (...given) => runAndWait(wait, ...given),
  };
}

const REPLICATION_LATE = {
  code: "replication-late",
  message: "Sessions ended, but fewer replicas than asked for have heard of it: a failover now could revive them.",
};

/** Servers forget scripts when they start, so the text goes with the second try. */
async function withText<T>(
  script: RedisScript,
  words: readonly Word[],
  send: (command: Command) => Promise<T>,
): Promise<T> {
  try {
    return await send(["EVALSHA", script.sha, ...words]);
  } catch (error) {
    if (!messageOf(error).startsWith("NOSCRIPT")) throw error;
    return send(["EVAL", script.text, ...words]);
  }
}

async function pause(round: number, signal: AbortSignal, error: unknown): Promise<void> {
  try {
    await sleep(Math.min(25 * 2 ** round, MOST_PAUSE_MS), undefined, { signal });
  } catch {
    throw unavailable(error);
  }
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : "";
}

/** The error for whatever a client threw. */
export function unavailable(error: unknown): StoreUnavailableError {
  if (error instanceof StoreUnavailableError) return error;
  // The clients of one family hang the words of the command on the error, and with them what was to be stored.
  if (error instanceof Error) Reflect.deleteProperty(error, "command");
  return new StoreUnavailableError("Redis did not do the work; see the cause.", { cause: error });
}

/** Text of a reply. */
export function textOf(reply: Reply | undefined): string {
  return reply === undefined || reply === null ? "" : String(reply);
}

/** Texts of a reply that is a list. */
export function textsOf(reply: Reply): string[] {
  return listOf(reply).map(textOf);
}

/** A reply that is a list. */
export function listOf(reply: Reply): readonly Reply[] {
  return Array.isArray(reply) ? reply : [];
}
