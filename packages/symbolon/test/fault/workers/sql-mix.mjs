/**
 * Admits records of a few users, changes them and ends them, fifty at a time, all mixed; says how many calls failed, and
 * how. Told on standard input: `{ kind, where, owners, rules, rounds }`, then `"go"`.
 */
import { randomBytes } from "node:crypto";
import { createInterface } from "node:readline";

const lines = createInterface({ input: process.stdin })[Symbol.asyncIterator]();
process.stdout.write("ready\n");
const { kind, where, owners, rules, rounds } = JSON.parse((await lines.next()).value);
const { open } = await import(`../../targets/${kind}.mjs`);
const { store } = await open(where);
process.stdout.write("prepared\n");
await lines.next();

const now = Date.now();
const call = () => ({ now, signal: AbortSignal.timeout(60_000) });
const ending = { reason: "revoked", at: now };
const failures = [];
let admitted = 0;
for (let round = 0; round < rounds; round++) await Promise.all(Array.from({ length: 50 }, (_, index) => play(index)));
process.stdout.write(`${JSON.stringify({ failures, admitted })}\n`);
process.exit(0);

async function play(index) {
  const owner = { space: "space", route: 7, owner: owners[index % owners.length] };
  try {
    if (index % 10 === 9) await store.deleteByOwner(owner, [], ending, call());
    else if (index % 10 === 8) await store.deleteByTenant({ space: "space", tenant: "tenant" }, ending, call());
    else await admitAndUpdate(owner);
  } catch (error) {
    failures.push(`${error.message} ${error.cause?.message}`);
  }
}

async function admitAndUpdate(owner) {
  const lookup = randomBytes(32).toString("base64url");
  const times = { createdAt: now, touchedAt: now, deadline: now + 3_600_000 };
  const record = { ...owner, lookup, tenant: "tenant", ...times, version: 1, envelope: randomBytes(300), data: null };
  const { status, evicted = [] } = await store.admit(record, rules, call());
  if (status === "created") admitted++;
  for (const one of [record, ...evicted]) await store.update(one, one.version, one, call());
}
