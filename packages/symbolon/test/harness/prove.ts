/**
 * `npm run prove`: random histories on each store, until one breaks a promise.
 *
 *   npm run prove -- [--store "postgresStore over pg"]... [--seeds 1000] [--seed 17]...
 *
 * Starts each server by itself, one after the other. Prints a line for each store; of a seed that fails, the smallest
 * history that is found to fail as well, and ends with 1. docs/concurrency.md says what is played and what is checked.
 */
import { parseArgs } from "node:util";
import { startMariadb, startPostgres, startRedis, startRedisCluster } from "symbolon-servers";
import { describeDisproof } from "./print.ts";
import { Prover } from "./prover.ts";
import { findVariant } from "./target.ts";

const STORES = [
  "sqliteStore over libsql",
  "fileStore",
  "redisStore over ioredis",
  "redisStore over ioredis (Cluster)",
  "postgresStore over pg",
  "mysqlStore over mysql2 (MariaDB)",
];

interface RunningServer {
  readonly url: string;
  stop(): Promise<void>;
}

const SERVERS: Readonly<Record<string, () => Promise<RunningServer>>> = {
  redis: startRedis,
  cluster: startRedisCluster,
  postgres: startPostgres,
  mariadb: startMariadb,
};

const { values: asked } = parseArgs({
  options: {
    store: { type: "string", multiple: true, default: STORES },
    seeds: { type: "string", default: "1000" },
    seed: { type: "string", multiple: true },
  },
});
const seeds = asked.seed?.map(Number) ?? Array.from({ length: Number(asked.seeds) }, (_, index) => index);

console.log("| store | histories | operations | seconds | that break a promise |\n|---|--:|--:|--:|--:|");
for (const name of asked.store) if (!(await proveStore(name))) process.exitCode = 1;

/** Plays all seeds on one store; whether all promises were kept. */
async function proveStore(name: string): Promise<boolean> {
  const { address, target, variant } = await findVariant(name);
  const server = variant.server === null ? null : await startServer(variant.server);
  const where = await target.prepare(variant, server?.url ?? null);
  const prover = await Prover.start(address, where);
  const started = performance.now();
  const broken: string[] = [];
  try {
    for (const seed of seeds) {
      const disproof = await prover.prove(seed);
      if (disproof === null) continue;
      broken.push(describeDisproof(name, await prover.reduce(disproof)));
    }
  } finally {
    await prover.end();
    await target.drop(where);
    await server?.stop();
  }
  const seconds = Math.round((performance.now() - started) / 1000);
  console.log(`| ${name} | ${seeds.length} | ${prover.operations} | ${seconds} | ${broken.length} |`);
  for (const one of broken) console.log(`\n${one}\n`);
  return broken.length === 0;
}

async function startServer(name: string): Promise<RunningServer> {
  const start = SERVERS[name];
  if (start === undefined) throw new Error(`No server called ${name} is started here.`);
  return start();
}
