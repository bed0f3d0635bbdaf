/**
 * What stores do with many sessions, as Markdown; ends with 1 when the account after the load does not agree.
 *
 *   npm run scale -- [--store "postgresStore over pg"]... [--sessions 1000000] [--seconds 60]
 *
 * Starts each server by itself, one after the other. docs/scale.md says how to read it.
 */
import { cpus, totalmem } from "node:os";
import { parseArgs } from "node:util";
import { startMariadb, startPostgres, startRedis, startRedisCluster } from "symbolon-servers";
import { startExactLoad } from "./exact-load.ts";
import { inspectorOf } from "./inspector.ts";
import { countEverything, fill, loadAndAccount, pruneWhileReading, readUsers, type Row, type Stage } from "./scenes.ts";
import { findVariant } from "./target.ts";

const STORES = [
  "redisStore over ioredis",
  "redisStore over ioredis (Cluster)",
  "postgresStore over pg",
  "mysqlStore over mysql2 (MariaDB)",
  "sqliteStore over libsql",
];
const SERVERS: Readonly<Record<string, () => Promise<{ readonly url: string; stop(): Promise<void> }>>> = {
  redis: startRedis,
  cluster: startRedisCluster,
  postgres: startPostgres,
  mariadb: startMariadb,
};

const { values: asked } = parseArgs({
  options: {
    store: { type: "string", multiple: true, default: STORES },
    sessions: { type: "string", default: "1000000" },
    seconds: { type: "string", default: "60" },
  },
});
const [sessions, seconds] = [Number(asked.sessions), Number(asked.seconds)];

const [cpu] = cpus();
console.log(
  `Node ${process.versions.node}, ${cpus().length} x ${cpu?.model}, ${Math.round(totalmem() / 2 ** 30)} GiB, ${new Date().toISOString().slice(0, 10)}.`,
);
for (const name of asked.store) {
  console.log(`\n## ${name}\n\n| | |\n|---|---|`);
  if (!(await measure(name))) process.exitCode = 1;
}

/** Plays all scenes on one store; whether everything agreed. */
async function measure(name: string): Promise<boolean> {
  const { kind, target, variant } = await findVariant(name);
  const server = variant.server === null ? null : await startServerOf(variant.server);
  const url = server?.url ?? null;
  const where = await target.prepare(variant, url);
  const handle = await target.open(where);
  const load = await startExactLoad(kind, where, handle.store);
  try {
    const inspector = inspectorOf(variant.server, kind, where, url, handle.store);
    const stage: Stage = { store: handle.store, load, inspector, sessions };
    for (const scene of [fill, readUsers, countEverything, pruneWhileReading]) print(await scene(stage));
    const { rows, faults } = await loadAndAccount(stage, seconds);
    print(rows);
    return faults.length === 0;
  } finally {
    load.crew.end();
    await handle.close();
    if (server === null) await target.drop(where);
    else await server.stop();
  }
}

async function startServerOf(name: string): Promise<{ readonly url: string; stop(): Promise<void> }> {
  const start = SERVERS[name];
  if (start === undefined)
    throw new Error(`No server called ${name} is started here; write one of: ${STORES.join(", ")}.`);
  return start();
}

function print(rows: readonly Row[]): void {
  for (const [what, result] of rows) console.log(`| ${what} | ${result} |`);
}
