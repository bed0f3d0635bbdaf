/**
 * What a read of a session costs this process over a bare GET of the same bytes, through the same client: the budget of
 * DESIGN 9 is 1.5 for the store's own part.
 *
 *   npm run bench:redis -- [--rounds 15] [--sample 100] [--json]
 *
 * Starts a Redis of its own, or uses SYMBOLON_REDIS_URL. Reports, and ends with 0 also when the budget is missed.
 */
import { parseArgs } from "node:util";
import { Redis as Ioredis } from "ioredis";
import { Redis as Iovalkey } from "iovalkey";
import { createClient } from "redis";
import { createSessionManager, generateKey } from "symbolon";
import { startRedis } from "symbolon-servers";
import { cached } from "symbolon/stores/cached";
import { redisStore, type RedisClient } from "symbolon/stores/redis";
import { type Case, measure, median, medianRatio } from "./measure.ts";

const BUDGET = 1.5;
/** Reads in flight at a time. */
const AT_ONCE = 32;

/** A client, and how an application would get bytes with it. */
interface Connection {
  readonly name: string;
  readonly client: RedisClient;
  get(key: string): Promise<unknown>;
  keys(pattern: string): Promise<string[]>;
  close(): unknown;
}

const { values: asked } = parseArgs({
  options: {
    rounds: { type: "string", default: "15" },
    sample: { type: "string", default: "100" },
    json: { type: "boolean", default: false },
  },
});

const given = process.env["SYMBOLON_REDIS_URL"];
const server = given === undefined ? await startRedis() : null;
const url = given ?? server?.url ?? "";
const results: { client: string; path: string; us: number; ratio: number }[] = [];
const connections = [
  () => connectWith("ioredis", new Ioredis(url)),
  () => connectWith("iovalkey", new Iovalkey(url)),
  connectNodeRedis,
];
for (const connect of connections) {
  const connection = await connect();
  results.push(...(await measureOne(connection)));
  await connection.close();
}
await server?.stop();
if (asked.json) console.log(JSON.stringify(results));
else for (const result of results) console.log(lineOf(result));

async function measureOne(connection: Connection): Promise<typeof results> {
  const prefix = `bench-${process.pid}:${connection.name}:`;
  const store = redisStore(connection.client, { prefix, invalidations: true });
  const key = generateKey();
  const sessions = createSessionManager({ store, keys: [key], pruneEvery: false });
  const near = createSessionManager({ store: cached({}, store), keys: [key], pruneEvery: false });
  const { token } = await sessions.create({ userId: "ada", data: { text: "x".repeat(270) } });
  const [name = ""] = await connection.keys(`${prefix}*:r:*`);
  const { entries } = await store.scan({ cursor: null, limit: 1 }, { now: 0, signal: new AbortController().signal });
  const record = entries[0];
  if (record === undefined) throw new Error("The session is not stored.");
  const call = { now: Date.now(), signal: new AbortController().signal };
  const bare = `${connection.name}: bare GET`;
  const cases: Case[] = [
    { name: bare, run: many(() => connection.get(name)) },
    { name: `${connection.name}: store.read`, run: many(async () => store.read(record, call)) },
    { name: `${connection.name}: sessions.validate`, run: many(() => sessions.validate(token)) },
    { name: `${connection.name}: sessions.validate, cached`, run: many(() => near.validate(token)) },
  ];
  const effort = { rounds: Number(asked.rounds), operations: 10, sampleMs: Number(asked.sample) };
  const samples = await measure(cases, effort);
  await near.close();
  return cases.map(({ name: path }) => ({
    client: connection.name,
    path,
    us: median(samples.get(path) ?? []) / AT_ONCE,
    ratio: medianRatio(samples, path, bare),
  }));
}

function many(read: () => Promise<unknown>): () => Promise<unknown> {
  return () => Promise.all(Array.from({ length: AT_ONCE }, read));
}

function lineOf({ path, us, ratio }: (typeof results)[number]): string {
  const verdict = path.endsWith("store.read") ? `  budget ${BUDGET}: ${ratio <= BUDGET ? "met" : "missed"}` : "";
  return `${path.padEnd(44)} ${us.toFixed(1).padStart(7)} us ${ratio.toFixed(2).padStart(6)}x${verdict}`;
}

/** ioredis and iovalkey have the same methods. */
function connectWith(name: string, client: Ioredis | Iovalkey): Connection {
  return {
    name,
    client,
    get: (key) => client.getBuffer(key),
    keys: (pattern) => client.keys(pattern),
    close: () => client.disconnect(),
  };
}

async function connectNodeRedis(): Promise<Connection> {
  const client = createClient({ url });
  await client.connect();
  return {
    name: "node-redis",
    client,
    get: (key) => client.get(key),
    keys: (pattern) => client.keys(pattern),
    close: () => client.destroy(),
  };
}
