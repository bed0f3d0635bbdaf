/**
 * Whether operations that overlapped can be put into one order that explains all of their answers, and in which none comes
 * before one that had answered when it was called (Herlihy and Wing 1990; the search is that of Wing and Gong 1993, with
 * what was found hopeless once remembered, as Lowe 2017 has it).
 */

/** One operation on a state of type `S`. */
export interface Step<S> {
  readonly from: number;
  readonly until: number;
  /** The state after it; null when its answer does not fit the state before. */
  readonly apply: (before: S) => S | null;
  /** Changes nothing: wherever it fits, it may be put at once. */
  readonly isRead: boolean;
  /** Nobody knows whether it was done. */
  readonly isDoubtful: boolean;
}

/** Searches for an order; with null there is one, else the steps that could not be placed after the longest attempt. */
export function misfits<S, T extends Step<S>>(steps: readonly T[], start: S): readonly T[] | null {
  const hopeless = new Set<string>();
  let fewest: readonly T[] = steps;

  function isOrdered(left: readonly T[], state: S): boolean {
    if (left.every(({ isDoubtful }) => isDoubtful)) return true;
    if (left.length < fewest.length) fewest = left;
    const name = `${left.map((step) => steps.indexOf(step)).join(" ")} ${JSON.stringify(state)}`;
    if (hopeless.has(name)) return false;
    const firstEnd = Math.min(...left.filter(({ isDoubtful }) => !isDoubtful).map(({ until }) => until));
    const next = left.filter(({ from }) => from <= firstEnd);
    const read = next.find((step) => step.isRead && step.apply(state) !== null);
    const tried = read === undefined ? next.filter(({ isRead }) => !isRead) : [read];
    for (const step of tried) {
      const after = step.apply(state);
      if (
        after !== null &&
        isOrdered(
          left.filter((one) => one !== step),
          after,
        )
      )
        return true;
    }
    hopeless.add(name);
    return false;
  }

  return isOrdered(steps, start) ? null : fewest;
}
