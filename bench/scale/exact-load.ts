/** A load from several processes, and the account after it. */
import { generateKey, type Store } from "symbolon";
import { type Account, Accountant } from "./account.ts";
import { Crew } from "./crew.ts";
import { Journal } from "./journal.ts";
import { beginCounters, type Counter, readCounter } from "./load.ts";
import type { Where } from "./target.ts";

/** How many processes there are. */
export const PROCESSES = 4;
const COUNTERS = 40;

/** A crew on one storage, and the sessions it shares. */
export interface ExactLoad {
  readonly crew: Crew;
  /** The key of all managers. */
  readonly key: string;
  /** The account, once nobody writes any more; its faults include those that the processes saw. */
  close(): Promise<Account>;
}

/** Starts the processes; `store` is a handle of this process on the same storage. */
export async function startExactLoad(kind: string, where: Where, store: Store): Promise<ExactLoad> {
  const key = generateKey();
  const journal = new Journal();
  const counters = await beginCounters(journal.of(store), key, COUNTERS);
  const crew = await Crew.start(PROCESSES, { kind, where, key, counters });
  return {
    crew,
    key,
    async close() {
      const accountant = new Accountant();
      for (const entry of journal.entries()) accountant.add(entry);
      const closed = await crew.close(accountant);
      const account = await accountant.check(store);
      // Afterwards, because it reads a count by writing it.
      const lost = await lostCounts(store, key, counters, closed.counted);
      return { ...account, faults: [...closed.faults, ...lost, ...account.faults] };
    },
  };
}

async function lostCounts(
  store: Store,
  key: string,
  counters: readonly Counter[],
  counted: ReadonlyMap<string, number>,
): Promise<string[]> {
  const faults: string[] = [];
  for (const counter of counters) {
    const [found, expected] = [await readCounter(store, key, counter), counted.get(counter.id) ?? 0];
    if (found !== expected) faults.push(`a shared count is ${found} instead of ${expected}`);
  }
  return faults;
}
