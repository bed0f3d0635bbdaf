/** Two processes on one storage, each with a client of its own: what rotation has to hold between. */
import { generateKey, type SessionManager, type Store } from "symbolon";
import { memoryStore } from "symbolon/stores/memory";
import { type ManualClock, manualClock } from "symbolon/testing";
import { afterAll, beforeAll } from "vitest";
import { everyVariant, type NamedVariant, onePerServer } from "./every-variant.ts";
import { manager, type Options } from "./sessions.ts";
import { type Intercepted, intercept } from "./stores.ts";
import type { Handle, Target, Where } from "./targets.ts";

const inMemory: Target = {
  variants: [{ name: "memoryStore", server: null }],
  prepare: () => ({ store: memoryStore() }),
  open: ({ store }) => ({ store: store as Store, close: () => undefined }),
  drop: () => undefined,
};

const memoryVariant: NamedVariant = {
  kind: "memory",
  target: inMemory,
  variant: { name: "memoryStore", server: null },
  url: null,
  abilities: everyVariant.find(({ kind }) => kind === "file")?.abilities ?? new Set(),
};

/** Memory, and every store that tests open by name, over one client for each kind of server. */
export const rotatingVariants: readonly NamedVariant[] = [memoryVariant, ...onePerServer];

/** The processes, as a test finds them: with a clock and a namespace of its own. */
export interface ProcessPair {
  readonly clock: ManualClock;
  readonly one: SessionManager;
  readonly two: SessionManager;
  /** Every event of both. */
  readonly heard: { readonly type: string }[];
  /** A process with other options on the same storage, under the same keys. */
  readonly another: (options: Options) => SessionManager;
  /** Stands between the first process and the store. */
  around: (call: Intercepted) => unknown;
}

/** Prepares one storage for the tests of a `describe`; answers what makes the processes of each test. */
export function pairsOn({ target, variant, url }: NamedVariant): (options?: Options) => ProcessPair {
  let where: Where;
  let handles: readonly Handle[] = [];
  let tests = 0;
  beforeAll(async () => {
    where = await target.prepare(variant, url);
    handles = [await target.open(where), await target.open(where)];
  });
  afterAll(async () => {
    for (const handle of handles) await handle.close();
    await target.drop(where);
  });
  return (options = {}) => {
    const [first, second] = handles.map(({ store }) => store);
    if (first === undefined || second === undefined) throw new Error("The storage is not prepared.");
    const clock = manualClock();
    const namespace = `test-${tests++}`;
    // A busy machine is not what these tests are about.
    const shared = { clock, keys: [generateKey()], namespace, storeTimeout: "1m", ...options } as const;
    const stage = { around: (call: Intercepted): unknown => call.proceed() };
    const one = manager({ ...shared, store: intercept(first, (call) => stage.around(call)) });
    const two = manager({ ...shared, store: second });
    const heard: { readonly type: string }[] = [];
    for (const sessions of [one, two]) sessions.on("*", (event) => heard.push(event));
    const another = (more: Options): SessionManager => manager({ ...shared, store: second, ...more });
    return Object.assign(stage, { clock, one, two, heard, another });
  };
}
