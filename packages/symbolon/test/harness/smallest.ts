/** Finds the smallest plan that still breaks a promise. */
import type { History } from "./history.ts";
import { keepingOnly, operationsOf, type Plan } from "./plan.ts";

/** Plays a plan once; the history if it breaks the promise, else null. */
export type Attempt = (plan: Plan) => Promise<History | null>;

/** How often a smaller plan may keep the promise before it counts as one that does: races are won by chance. */
const TRIES = 8;
/** How many plays a search may cost. */
const MOST_PLAYS = 400;

/**
 * Leaves out halves, then quarters, and so on down to single operations, as long as what remains breaks the promise at
 * least once in a few tries (delta debugging, Zeller 1999). `failed` is a history that does.
 */
export async function smallest(failed: History, attempt: Attempt): Promise<History> {
  let best = failed;
  let plays = 0;

  async function tryWithout(left: ReadonlySet<number>): Promise<boolean> {
    const kept = operationsOf(best.plan).filter(({ number }) => !left.has(number));
    const plan = keepingOnly(best.plan, new Set(kept.map(({ number }) => number)));
    for (let tries = 0; tries < TRIES && plays < MOST_PLAYS; tries++) {
      plays++;
      const history = await attempt(plan);
      if (history === null) continue;
      best = history;
      return true;
    }
    return false;
  }

  let size = Math.ceil(operationsOf(best.plan).length / 2);
  while (plays < MOST_PLAYS) {
    let isSmaller = false;
    const numbers = operationsOf(best.plan).map(({ number }) => number);
    for (let start = 0; start < numbers.length; start += size) {
      if (await tryWithout(new Set(numbers.slice(start, start + size)))) isSmaller = true;
    }
    if (size === 1 && !isSmaller) return best;
    if (!isSmaller || size > 1) size = Math.max(1, Math.ceil(size / 2));
  }
  return best;
}
