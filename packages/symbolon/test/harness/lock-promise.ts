/** Locks (DESIGN 8.9): one holder at a time, fences that grow, and nobody loses a lock before its lease has ended. */
import type { Entry, History, Section } from "./history.ts";
import { LEASE_MS } from "./plan.ts";
import type { Fault } from "./promises.ts";

interface Held {
  readonly entry: Entry;
  readonly section: Section;
}

/** Leases are rounded to milliseconds. */
const LEAST_LEASE_MS = LEASE_MS - 2;

/** The sections of a history are all of one lock. */
export function lockFaults({ entries }: History): Fault[] {
  const held = entries.flatMap((entry) => (entry.section === undefined ? [] : [{ entry, section: entry.section }]));
  const inOrder = held.toSorted((one, other) => one.section.fence - other.section.fence);
  const lost = held.filter(({ section }) => section.isLost && !mayHaveEnded(section));
  return [
    ...lost.map((one) => fault("a lock was lost before its lease had ended", one)),
    ...inOrder.flatMap((one, place) => inOrder.slice(place + 1).flatMap((other) => faultsBetween(one, other))),
  ];
}

/** `one` has the lesser fence, or the same. */
function faultsBetween(one: Held, other: Held): Fault[] {
  const [before, after] = [one.section, other.section];
  if (before.fence === after.fence) return [fault("two holders have the same fence", one, other)];
  if (after.freed < before.asked) return [fault("a later holder has a lesser fence", one, other)];
  const hasMet = after.entered < before.left && before.entered < after.left;
  // Who was robbed of the lock has to be told, and only the end of its lease may rob it.
  if (hasMet && !(before.isLost && mayHaveEnded(before))) return [fault("two have the lock at once", one, other)];
  return [];
}

/** Whether its lease may have run out, by the clock of the machine or by that of the managers; renewing only puts it off. */
function mayHaveEnded({ asked, freed, enteredAt, freedAt }: Section): boolean {
  return freed - asked >= LEAST_LEASE_MS * 1000 || freedAt - enteredAt >= LEAST_LEASE_MS;
}

function fault(what: string, ...held: readonly Held[]): Fault {
  return { promised: "a lock has one holder", what, entries: held.map(({ entry }) => entry) };
}
