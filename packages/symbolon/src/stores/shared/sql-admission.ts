/** Admission of a record, in a transaction that holds its owner's lock. */
import { hash } from "node:crypto";
import type { Admission, AdmissionRules, StoredRecord } from "../../core/store.ts";
import { admitAmong, type Rival } from "./admission.ts";
import type { Run, SqlLock } from "./sql-client.ts";
import type { SqlDialect } from "./sql-dialect.ts";
import { bucketOf, recordOf, rowOf, textOf, valuesOf } from "./sql-rows.ts";
import { ONE } from "./sql-statements.ts";

/** A record that somebody owns. */
export type OwnedRecord = StoredRecord & { readonly owner: string };

/**
 * What an admission by these rules locks: the owner first and then the space, so that no two wait for each other;
 * nothing where nothing is limited.
 */
export function locksFor({ space, owner }: OwnedRecord, { perOwner, total }: AdmissionRules): SqlLock[] {
  const locks: SqlLock[] = [];
  // The length keeps two pairs of texts from sharing a lock.
  if (perOwner !== null) locks.push({ kind: "owner", number: numberOf(`${space.length}:${space}${owner}`) });
  if (total !== null) locks.push({ kind: "space", number: numberOf(space) });
  return locks;
}

function numberOf(name: string): number {
  return hash("sha256", name, "buffer").readUInt32BE();
}

/** The whole of an admission; the transaction around it holds the locks. */
export async function admitLocked(
  dialect: SqlDialect,
  run: Run,
  record: OwnedRecord,
  rules: AdmissionRules,
  now: number,
): Promise<Admission> {
  const { statements } = dialect;
  const { space, lookup } = record;
  if (await fits(dialect, run, record, rules, now)) return { status: "created", evicted: [] };
  if ((await run(statements.isTaken, [lookup])).rows.length > 0) return { status: "exists" };

  const rivals = await rivalsOf(dialect, run, record, rules, now);
  const verdict = admitAmong(
    rivals.filter((rival) => rival.lookup !== rules.replacing),
    rules,
  );
  if (verdict.status === "refused") return verdict;
  const replaced = rivals.filter((rival) => rival.lookup === rules.replacing);
  const chosen = verdict.status === "reused" ? [verdict.record] : [...verdict.evicted, ...replaced];
  const records = await lockEach(dialect, run, space, chosen);
  // Somebody has ended one of them meanwhile, which needs no lock of the owner: what is left is another question.
  if (records === null) return admitLocked(dialect, run, record, rules, now);
  if (verdict.status === "reused") return { status: "reused", record: records[0]! };

  if (!(await hasRoom(dialect, run, space, rules.total, records.length, now))) {
    return { status: "refused", limit: "total" };
  }
  if ((await run(statements.create, valuesOf(record))).affected === 0) return { status: "exists" };
  const evicted = records.slice(0, verdict.evicted.length);
  for (const one of records) {
    const reason = evicted.includes(one) ? "evicted" : "replaced";
    await dialect.end(run, { where: ONE, values: [one.lookup, space] }, { reason, at: now }, now);
  }
  return { status: "created", evicted };
}

/** Creates the record in one statement if it is clear that nobody has to give way. */
async function fits(
  { statements }: SqlDialect,
  run: Run,
  record: OwnedRecord,
  { perOwner, total, replacing }: AdmissionRules,
  now: number,
): Promise<boolean> {
  if (perOwner === null || total !== null) return false;
  const live = [record.space, record.owner, now];
  const values = [...valuesOf(record), ...live, perOwner, replacing ?? "", ...live];
  return (await run(statements.createIfRoom, values)).affected > 0;
}

/** The owner's live records; none where nobody counts them and none is replaced. */
async function rivalsOf(
  { statements }: SqlDialect,
  run: Run,
  { space, owner }: OwnedRecord,
  { perOwner, replacing }: AdmissionRules,
  now: number,
): Promise<Rival[]> {
  if (perOwner === null && replacing === null) return [];
  const { rows } = await run(statements.rivals, [space, owner, now]);
  return rows.map(([lookup, createdAt, touchedAt]) => ({
    lookup: String(textOf(lookup)),
    createdAt: Number(createdAt),
    touchedAt: Number(touchedAt),
  }));
}

/** The records as they are, which then nobody else can change; null when one of them is not live any more. */
async function lockEach(
  { statements }: SqlDialect,
  run: Run,
  space: string,
  rivals: readonly Rival[],
): Promise<StoredRecord[] | null> {
  const records: StoredRecord[] = [];
  for (const { lookup } of rivals) {
    const { rows } = await run(statements.readForUpdate, [lookup, space]);
    const [row] = rows.map(rowOf);
    if (row === undefined) return null;
    records.push(recordOf(row));
  }
  return records;
}

/** Whether the space has room for one more once so many are gone. */
async function hasRoom(
  { statements }: SqlDialect,
  run: Run,
  space: string,
  total: number | null,
  leaving: number,
  now: number,
): Promise<boolean> {
  if (total === null) return true;
  const { rows } = await run(statements.countOwned, [bucketOf(now), now, space, space]);
  return Number(rows[0]?.[0]) - leaving < total;
}
