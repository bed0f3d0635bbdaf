/** No lost update (DESIGN 8.1): the data of a session is one register, of which all reads and writes have an order. */
import type { Entry, SeenData } from "./history.ts";
import { misfits, type Step } from "./linearizable.ts";
import type { Fault } from "./promises.ts";
import type { Story } from "./stories.ts";

interface DataStep extends Step<SeenData> {
  readonly entry: Entry;
}

export function dataFaults(story: Story): Fault[] {
  const left = misfits(story.found.flatMap(stepsOf), {});
  if (left === null) return [];
  const entries = [...new Set(left.map(({ entry }) => entry))];
  return [{ promised: "no update is lost", what: "no order explains what these answered", entries }];
}

/** What an operation read and what it wrote. */
function stepsOf(entry: Entry): DataStep[] {
  const { saw, opening, closing, outcome } = entry;
  const steps: DataStep[] = [];
  if (saw !== undefined) {
    const apply = (before: SeenData): SeenData | null => (isSame(before, saw) ? before : null);
    steps.push({ entry, from: opening.from, until: opening.until, apply, isRead: true, isDoubtful: false });
  }
  const apply = writeOf(entry);
  if (apply === null || closing === undefined) return steps;
  steps.push({ entry, from: closing.from, until: closing.until, apply, isRead: false, isDoubtful: outcome === "lost" });
  return steps;
}

/** What an operation makes of the data; null where it has written nothing. */
function writeOf({ operation, outcome, wrote }: Entry): ((before: SeenData) => SeenData | null) | null {
  if (outcome !== "saved" && outcome !== "lost") return null;
  const { does, number, key = "a" } = operation;
  if (does === "write") return (before) => ({ ...before, [key]: number });
  const list = LISTS[does];
  if (list === undefined) return null;
  return (before) => {
    const after = [...(before[list] ?? []), number];
    return wrote === undefined || isSame(after, wrote) ? { ...before, [list]: after } : null;
  };
}

const LISTS: Readonly<Partial<Record<Entry["operation"]["does"], "log" | "locked">>> = {
  append: "log",
  lockedAppend: "locked",
  lockedRequest: "locked",
};

function isSame(one: unknown, other: unknown): boolean {
  return JSON.stringify(sorted(one)) === JSON.stringify(sorted(other));
}

/** Keys come in the order in which they were first written. */
function sorted(value: unknown): unknown {
  if (typeof value !== "object" || value === null || Array.isArray(value)) return value;
  return Object.entries(value).toSorted(([one], [other]) => (one < other ? -1 : 1));
}
