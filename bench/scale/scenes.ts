/** What is measured on a storage that holds many sessions; each scene answers rows of a table. */
import { setTimeout as sleep } from "node:timers/promises";
import { canPrune, hasTenantIndex, type Store } from "symbolon";
import { type ExactLoad, PROCESSES } from "./exact-load.ts";
import type { Inspector } from "./inspector.ts";
import { type LoadResult, loadManager } from "./load.ts";

/** What, and how much. */
export type Row = readonly [what: string, result: string];

export interface Stage {
  readonly store: Store;
  readonly load: ExactLoad;
  readonly inspector: Inspector;
  /** How many there are to be. */
  readonly sessions: number;
}

const BATCH = 500;
const TIMES = 11;

/** Not as fast as they can, or the machine would be busy with nothing else. */
const READERS = { only: "validate", pauseMs: 20 } as const;

/** Begins the sessions: how long that takes, and how much room they need. */
export async function fill({ load, inspector, sessions }: Stage): Promise<Row[]> {
  const empty = await inspector.bytes();
  const seconds = await secondsOf(() => load.crew.preload({ users: "user", sessions, perUser: 10 }));
  const bytes = ((await inspector.bytes()) - empty) / sessions;
  return [
    [
      `beginning ${number(sessions)} sessions of ${number(sessions / 10)} users`,
      `${number(sessions / seconds)} a second`,
    ],
    ["room for one session", `${number(bytes)} bytes`],
  ];
}

/** A page and a count of a user who has many sessions, against those of one who has ten; and how they are found. */
export async function readUsers({ store, load, inspector, sessions }: Stage): Promise<Row[]> {
  const many = Math.min(10_000, Math.ceil(sessions / 100));
  await load.crew.preload({ users: "many", sessions: many * PROCESSES, perUser: many });
  const list = (userId: string) => (on: Store) => loadManager(on, load.key).list({ userId, limit: 50 });
  const total = (userId: string) => (on: Store) => loadManager(on, load.key).count({ userId });
  const [few, all] = ["user 0-0", "many 0-0"];
  const pages = `${await medianOf(store, list(few))}, ${await medianOf(store, list(all))}`;
  const counts = `${await medianOf(store, total(few))}, ${await medianOf(store, total(all))}`;
  const rows: Row[] = [
    [`listing the first 50 of a user's 10 sessions, of ${number(many)}`, pages],
    [`counting a user's 10 sessions, ${number(many)}`, counts],
  ];
  for (const [what, work] of [
    ["how the page is found", list(all)],
    ["how the count is found", total(all)],
  ] as const) {
    const lines = await inspector.explain(work);
    if (lines.length > 0) rows.push([what, lines.map((line) => `\`${line.trim()}\``).join("<br>")]);
  }
  return rows;
}

/** The counts of the whole space. */
export async function countEverything({ store, load, inspector }: Stage): Promise<Row[]> {
  if (!hasTenantIndex(store)) return [];
  const sessions = (on: Store): Promise<number> => loadManager(on, load.key).count();
  const users = (on: Store): Promise<number> => loadManager(on, load.key).countUsers();
  const rows: Row[] = [];
  for (const [what, work] of [
    ["sessions", sessions],
    ["users with a session", users],
  ] as const) {
    rows.push([`counting all ${what}: ${number(await work(store))}`, await medianOf(store, work, 3)]);
    const lines = await inspector.explain(work);
    if (lines.length > 0) rows.push([`how they are counted`, lines.map((line) => `\`${line.trim()}\``).join("<br>")]);
  }
  return rows;
}

/** Removes a tenth that has expired, while all others are read. */
export async function pruneWhileReading({ store, load, sessions }: Stage): Promise<Row[]> {
  if (!canPrune(store)) return [];
  const expired = sessions / 10;
  await load.crew.preload({ users: "expired", sessions: expired, perUser: 10, lifetime: "10m" });
  const before = await load.crew.runFor(5, READERS);
  let removed = 0;
  let batches = 0;
  let seconds = 0;
  const during = await load.crew.runDuring(async () => {
    seconds = await secondsOf(async () => {
      // The expired are given ten minutes when they begin, so that no server removes them by itself; all others hours.
      const deadline = Date.now() + 900_000;
      for (let batch = BATCH; batch === BATCH; removed += batch) {
        batch = await store.prune(deadline, BATCH, { now: Date.now(), signal: new AbortController().signal });
        batches++;
        await sleep(1);
      }
    });
  }, READERS);
  const [calm, busy] = [quantilesOf(before), quantilesOf(during)];
  return [
    [
      `pruning ${number(removed)} expired sessions`,
      `${number(batches)} batches of ${BATCH}, ${number(removed / seconds)} a second`,
    ],
    ["a read before that, p50 and p99", `${ms(calm.p50)}, ${ms(calm.p99)}`],
    [
      "a read meanwhile, p50 and p99",
      `${ms(busy.p50)}, ${ms(busy.p99)} (${ratio(busy.p50, calm.p50)}, ${ratio(busy.p99, calm.p99)})`,
    ],
  ];
}

/** The mixed load, and the account after it. */
export async function loadAndAccount(
  { load }: Stage,
  seconds: number,
): Promise<{ rows: Row[]; faults: readonly string[] }> {
  const results = await load.crew.runFor(seconds);
  const account = await load.close();
  const done = results.flatMap(({ counts }) => Object.values(counts)).reduce((total, one) => total + one, 0);
  const { p50, p99 } = quantilesOf(results);
  const { created, ended, live, updates, faults } = account;
  const rows: Row[] = [
    [`mixed load of ${PROCESSES} processes for ${seconds} s`, `${number(done / seconds)} actions a second`],
    ["a read in it, p50 and p99", `${ms(p50)}, ${ms(p99)}`],
    [
      "acknowledged",
      `${number(created)} begun, ${number(updates)} updates, ${number(ended)} ended, ${number(live)} live`,
    ],
    ["what does not agree with that", faults.length === 0 ? "nothing" : faults.slice(0, 5).join("<br>")],
  ];
  return { rows, faults };
}

async function secondsOf(work: () => Promise<unknown>): Promise<number> {
  const before = performance.now();
  await work();
  return (performance.now() - before) / 1000;
}

async function medianOf(store: Store, work: (store: Store) => Promise<unknown>, times = TIMES): Promise<string> {
  await work(store);
  const taken: number[] = [];
  for (let time = 0; time < times; time++) taken.push((await secondsOf(() => work(store))) * 1000);
  return ms(quantile(taken, 0.5));
}

function quantilesOf(results: readonly LoadResult[]): { readonly p50: number; readonly p99: number } {
  const reads = results.flatMap((result) => result.reads);
  return { p50: quantile(reads, 0.5), p99: quantile(reads, 0.99) };
}

function quantile(values: readonly number[], share: number): number {
  const sorted = values.toSorted((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? Number.NaN;
}

function ms(value: number): string {
  return `${value < 10 ? value.toFixed(2) : number(value)} ms`;
}

function ratio(value: number, base: number): string {
  return `x ${(value / base).toFixed(1)}`;
}

function number(value: number): string {
  return Math.round(value).toLocaleString("en-GB").replaceAll(",", " ");
}
