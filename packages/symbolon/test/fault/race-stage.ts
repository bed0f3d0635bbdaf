/** Two processes on one storage of any store, and a third handle to look from. */
import { randomBytes, randomInt } from "node:crypto";
import { isTombstone, type LockKey, type Store, type StoreCall, type StoredRecord, type Tombstone } from "symbolon";
import { expect } from "vitest";
import type { NamedVariant } from "../support/every-variant.ts";
import { wait } from "../support/delays.ts";
import { type RunningWorker, spawnWorker } from "../support/workers.ts";

/** What both processes answered, and how often somebody looked meanwhile. */
interface Round<Answer> {
  readonly answers: readonly [Answer, Answer];
  /** Whether each of them worked while the other did: a round without has shown nothing. */
  readonly hasMet: boolean;
}

/** What is told to one of the processes: a game of `workers/store-race.mjs`, and its orders. */
export type Orders = { readonly game: string } & Readonly<Record<string, unknown>>;

interface Answered<Answer> {
  readonly answer: Answer;
  readonly from: number;
  readonly until: number;
}

export interface RaceStage {
  readonly store: Store;
  /** Tells each process its orders, and waits for both answers. */
  readonly play: <Answer>(orders: readonly [Orders, Orders]) => Promise<Round<Answer>>;
  end(): Promise<void>;
}

const ROUNDS = 50;
const HOUR = 3_600_000;

/** Stages a race on an empty storage. */
export async function stageRace({ kind, target, variant, url }: NamedVariant): Promise<RaceStage> {
  const where = await target.prepare(variant, url);
  const ends: (() => unknown)[] = [() => target.drop(where)];
  const end = async (): Promise<void> => {
    for (const one of ends.splice(0).toReversed()) await one();
  };
  try {
    const handle = await target.open(where);
    ends.push(() => handle.close());
    const start = async (): Promise<RunningWorker> => spawnWorker("store-race.mjs", (kill) => ends.push(kill));
    const workers = await Promise.all([start(), start()]);
    for (const { tell } of workers) tell({ kind, where });
    for (const { nextLine } of workers) expect(await nextLine()).toBe("prepared");
    return { store: handle.store, play: (orders) => playOn(workers, orders), end };
  } catch (error) {
    await end();
    throw error;
  }
}

async function playOn<Answer>(
  workers: readonly [RunningWorker, RunningWorker],
  orders: readonly [Orders, Orders],
): Promise<Round<Answer>> {
  const [one, other] = workers;
  one.tell(orders[0]);
  other.tell(orders[1]);
  const lines = await Promise.all([one.nextLine(), other.nextLine()]);
  const [first, second] = lines.map((line) => JSON.parse(line) as Answered<Answer>) as [
    Answered<Answer>,
    Answered<Answer>,
  ];
  const hasMet = first.from < second.until && second.from < first.until;
  return { answers: [first.answer, second.answer], hasMet };
}

/** Plays rounds until the processes met in one. */
export async function untilMet(round: () => Promise<boolean>): Promise<void> {
  for (let times = 1; !(await round()); times++) expect(times).toBeLessThanOrEqual(ROUNDS);
}

/** What `look` answered, each time, while the work went on. */
export async function observe<T, Seen>(
  look: () => Promise<Seen>,
  work: Promise<T>,
): Promise<{ readonly done: T; readonly seen: readonly Seen[] }> {
  const state = { isDone: false };
  const watch = async (): Promise<Seen[]> => {
    const seen: Seen[] = [];
    while (!state.isDone) {
      seen.push(await look());
      await wait(1);
    }
    return seen;
  };
  const watching = watch();
  try {
    const done = await work;
    state.isDone = true;
    return { done, seen: await watching };
  } finally {
    state.isDone = true;
  }
}

export function callNow(): StoreCall {
  return { now: Date.now(), signal: new AbortController().signal };
}

/** What is told of a record: all but its bytes. */
export type RecordFields = Omit<StoredRecord, "envelope" | "data">;

function digest(bytes: number): string {
  return randomBytes(bytes).toString("base64url");
}

/** Records of one space, each of a user of its own. */
export function newRecords(howMany: number, lifetime = HOUR): RecordFields[] {
  const now = Date.now();
  const space = digest(8);
  return Array.from({ length: howMany }, () => ({
    space,
    route: randomInt(2 ** 24),
    lookup: digest(32),
    owner: digest(16),
    tenant: null,
    createdAt: now,
    touchedAt: now,
    deadline: now + lifetime,
    version: 1,
  }));
}

export function newLock({ space, route }: RecordFields): LockKey {
  return { space, route, lock: digest(32) };
}

/** Creates the records, with this as their envelope. */
export async function createAll(store: Store, records: readonly RecordFields[], envelope = "0"): Promise<void> {
  const create = async (fields: RecordFields): Promise<string> =>
    store.create({ ...fields, envelope: Buffer.from(envelope), data: null }, callNow());
  expect(new Set(await Promise.all(records.map(create)))).toEqual(new Set(["created"]));
}

/** What is stored, in words: `ended: logout`, or `2: the envelope` with the version; null for nothing. */
export async function foundIn(store: Store, record: RecordFields): Promise<string | null> {
  const found: StoredRecord | Tombstone | null = await store.read(record, callNow());
  if (found === null) return null;
  if (isTombstone(found)) return `ended: ${found.reason}`;
  return `${found.version}: ${Buffer.from(found.envelope).toString()}`;
}
