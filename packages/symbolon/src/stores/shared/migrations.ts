/** How a store's tables come about: in numbered steps, each applied once. */
import type { Run } from "./sql-client.ts";

/** One step; those of a store come in the order of their versions. */
export interface Migration {
  /** 1 for the first. */
  readonly version: number;
  /** To be run in this order; each may be run again after a failure. */
  readonly statements: readonly string[];
}

/** Makes the table that says which steps were applied. */
export function createMigrations(table: string): string {
  return `CREATE TABLE IF NOT EXISTS ${table} (version int NOT NULL PRIMARY KEY)`;
}

/** The steps that are missing where these versions have been applied. */
export function missingOf(all: readonly Migration[], applied: readonly number[]): Migration[] {
  return all.filter(({ version }) => !applied.includes(version));
}

/** Applies what is missing, and answers the versions; the caller sees to it that nobody else does meanwhile. */
export async function applyMissing(run: Run, table: string, all: readonly Migration[]): Promise<number[]> {
  await run(createMigrations(table), []);
  const { rows } = await run(`SELECT version FROM ${table}`, []);
  const missing = missingOf(
    all,
    rows.map(([version]) => Number(version)),
  );
  for (const { version, statements } of missing) {
    for (const statement of statements) await run(statement, []);
    await run(`INSERT INTO ${table} (version) VALUES (?)`, [version]);
  }
  return missing.map(({ version }) => version);
}
