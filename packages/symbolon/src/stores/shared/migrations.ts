/** How a store's tables come about: in numbered steps, each applied once. */

/** One step; those of a store come in the order of their versions. */
export interface Migration {
  /** 1 for the first. */
  readonly version: number;
  /** To be run in this order; each may be run again after a failure. */
  readonly statements: readonly string[];
}

/** The steps that are missing where these versions have been applied. */
export function missingOf(all: readonly Migration[], applied: readonly number[]): Migration[] {
  return all.filter(({ version }) => !applied.includes(version));
}
