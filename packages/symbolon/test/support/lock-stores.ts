/** Stores for tests of locks: two that lock, and one that cannot. */
import type { Locking, Store } from "symbolon";
import { memoryStore } from "symbolon/stores/memory";
import { sqliteStore } from "symbolon/stores/sqlite";
import { wait } from "./delays.ts";
import { sqliteFile } from "./sqlite.ts";
import { without } from "./stores.ts";

/** A kind of store; `isShared` says whether it locks. */
export interface LockStore {
  readonly name: string;
  readonly isShared: boolean;
  readonly make: () => Store;
}

/** The first tells of releases, the second does not, the third cannot lock. */
export const lockStores: readonly LockStore[] = [
  { name: "memory", isShared: true, make: memoryStore },
  { name: "SQLite", isShared: true, make: () => sqliteStore(sqliteFile().connect()) },
  { name: "a store without locks", isShared: false, make: () => without(memoryStore(), "acquireLock") },
];

/** Two ways into one store that locks, as of two processes; the first kind tells of releases, the second does not. */
export const lockPairs: readonly {
  readonly name: string;
  readonly make: () => readonly [Store & Locking, Store & Locking];
}[] = [
  {
    name: "memory",
    make: () => {
      const store = memoryStore();
      return [store, store];
    },
  },
  {
    name: "SQLite",
    make: () => {
      const file = sqliteFile();
      return [sqliteStore(file.connect()), sqliteStore(file.connect())];
    },
  },
];

/** Something that only one may be in at a time: a count that is read, and written a while later. */
export class Room {
  count = 0;
  most = 0;
  #inside = 0;

  async enter(): Promise<void> {
    this.most = Math.max(this.most, ++this.#inside);
    const { count } = this;
    await wait(2);
    this.count = count + 1;
    this.#inside--;
  }
}
