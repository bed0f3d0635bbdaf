/** Processes that take locks of one storage: see `workers/lock-holder.mjs`. */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createSessionManager, generateKey, type SessionManager } from "symbolon";
import { expect, onTestFinished } from "vitest";
import { everyVariant, type NamedVariant, onePerServer } from "../support/every-variant.ts";
import { type RunningWorker, spawnWorker } from "../support/workers.ts";

/** What a process answers to an order. */
export interface Answer {
  readonly code?: string;
  readonly fence?: number;
  readonly isShared?: boolean;
  /** How often it asked the store for the lock. */
  readonly asked?: number;
  /** How often the store said that its messages may be missing. */
  readonly lost?: number;
  readonly n?: number;
}

/** One of the processes. */
export interface Holder extends RunningWorker {
  /** Gives an order without waiting for what becomes of it. */
  readonly order: (order: string, told?: object) => void;
  /** Its next line, which has to be this. */
  readonly says: (word: "waiting" | "inside") => Promise<void>;
  /** Its next answer; that it had to wait goes unsaid. */
  readonly answer: () => Promise<Answer>;
  /** Orders, and waits for the answer. */
  readonly ask: (order: string, told?: object) => Promise<Answer>;
  readonly signal: (signal: NodeJS.Signals) => void;
}

/** Processes on one storage, and a manager of this one. */
export interface Crew {
  readonly sessions: SessionManager;
  readonly holders: readonly Holder[];
  readonly end: () => Promise<void>;
}

/** Over one client for each kind of server, and PostgreSQL with messages, too. The master of a Sentinel is a Redis like any other. */
export const lockVariants: readonly NamedVariant[] = [
  ...onePerServer.filter(({ variant }) => variant.server !== "sentinel"),
  ...everyVariant.filter(({ variant }) => variant.name === "postgresStore over pg, tells"),
];

/** Whether all of them were told of every release: then nobody had to look for it. */
export function wereTold({ abilities }: NamedVariant, answers: readonly Answer[]): boolean {
  return abilities.has("invalidations") && answers.every(({ lost }) => lost === 0);
}

/** Starts so many processes on an empty storage. */
export async function startCrew({ kind, target, variant, url }: NamedVariant, size: number): Promise<Crew> {
  const where = await target.prepare(variant, url);
  const ends: (() => unknown)[] = [() => target.drop(where)];
  const end = async (): Promise<void> => {
    for (const one of ends.splice(0).toReversed()) await one();
  };
  try {
    const handle = await target.open(where);
    ends.push(() => handle.close());
    const key = generateKey();
    const sessions = createSessionManager({ store: handle.store, keys: [key], pruneEvery: false });
    ends.push(() => sessions.close());
    const start = async (): Promise<RunningWorker> => spawnWorker("lock-holder.mjs", (kill) => ends.push(kill));
    const workers = await Promise.all(Array.from({ length: size }, start));
    for (const { tell } of workers) tell({ kind, where, key });
    for (const { nextLine } of workers) expect(await nextLine()).toBe("prepared");
    return { sessions, holders: workers.map(holderOf), end };
  } catch (error) {
    await end();
    throw error;
  }
}

function holderOf(running: RunningWorker): Holder {
  const { nextLine, tell, worker } = running;
  const order: Holder["order"] = (name, told = {}) => tell({ order: name, ...told });
  const answer: Holder["answer"] = async () => {
    const line = await nextLine();
    return line === "waiting" ? answer() : (JSON.parse(line) as Answer);
  };
  return {
    ...running,
    order,
    answer,
    says: async (word) => expect(await nextLine()).toBe(word),
    async ask(name, told) {
      order(name, told);
      return answer();
    },
    signal: (signal) => void worker.kill(signal),
  };
}

/** A folder in which processes count what they do under a lock, without any other protection. */
export interface CountingFolder {
  readonly path: string;
  readonly count: () => number;
  /** The fences in the order of entry. */
  readonly fences: () => number[];
}

export function countingFolder(): CountingFolder {
  const path = mkdtempSync(join(tmpdir(), "symbolon-test-"));
  onTestFinished(() => rmSync(path, { recursive: true, force: true }));
  writeFileSync(join(path, "count"), "0");
  const read = (name: string): string => readFileSync(join(path, name), "utf8");
  return {
    path,
    count: () => Number(read("count")),
    fences: () => read("fences").trim().split("\n").map(Number),
  };
}
