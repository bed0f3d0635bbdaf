import { isTombstone, type Replication, type Store, type StoredRecord } from "symbolon";
import { type MemoryStore, memoryStore } from "symbolon/stores/memory";
import { type MirroredOptions, type MirrorFailure, mirrored } from "symbolon/stores/mirrored";
import { faultyStore } from "symbolon/testing";

export const HOUR = 3_600_000;
export const NOW: number = Date.UTC(2026, 0, 1);

let made = 0;

export function callAt(now: number = NOW) {
  return { now, signal: new AbortController().signal };
}

/** A record of a user in the one space of these tests. */
export function recordOf(owner: string): StoredRecord {
  return {
    space: "space",
    route: 1,
    lookup: `lookup ${++made}`,
    owner,
    tenant: null,
    createdAt: NOW,
    touchedAt: NOW,
    deadline: NOW + HOUR,
    version: 1,
    envelope: Buffer.from("envelope"),
    data: null,
  };
}

/** A change with bytes of its own. */
export function change() {
  return { touchedAt: NOW, deadline: NOW + HOUR, envelope: Buffer.from(`envelope ${++made}`) };
}

/** A store of the four methods and the named abilities only. */
export function bareStore<Method extends keyof MemoryStore>(
  ...methods: readonly Method[]
): Store & Pick<MemoryStore, Method> {
  const store = memoryStore();
  const kept: readonly string[] = ["read", "create", "update", "delete", ...methods];
  return new Proxy(store, { has: (_target, name) => typeof name !== "string" || kept.includes(name) });
}

/** A primary and two mirrors, all of which can be made to fail. */
export function setUp(options: MirroredOptions = {}) {
  const primary = faultyStore(memoryStore());
  const mirrors = [faultyStore(memoryStore()), faultyStore(memoryStore())] as const;
  const failures: MirrorFailure[] = [];
  const store = mirrored(
    primary.store,
    mirrors.map((mirror) => mirror.store),
    { clock: { now: () => NOW }, onMirrorFailure: (failure) => failures.push(failure), ...options },
  );
  return { store, primary, mirrors, failures };
}

/** All a store holds, in one order. */
export async function contentsOf(store: Replication): Promise<unknown[]> {
  const { entries } = await store.scan({ cursor: null, limit: 100_000 }, callAt());
  return entries
    .map((entry) => (isTombstone(entry) ? entry : { ...entry, envelope: Buffer.from(entry.envelope).toString() }))
    .toSorted((a, b) => (a.lookup < b.lookup ? -1 : 1));
}
