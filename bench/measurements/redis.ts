/** What a read of a session costs this process over a bare GET of the same bytes, through the same client. */
import { Redis as Ioredis } from "ioredis";
import { Redis as Iovalkey } from "iovalkey";
import { createClient } from "redis";
import { createSessionManager, generateKey } from "symbolon";
import { cached } from "symbolon/stores/cached";
import { redisStore, type RedisClient } from "symbolon/stores/redis";
import type { Measurement } from "../bench.ts";
import { type Case, cpuCase, type Effort, measure, medianOf, medianRatio, type Samples } from "../measure.ts";
import { type Budget, budget, type Cell } from "../report.ts";

/** DESIGN 9, for the store's own part. */
const BUDGET = 1.5;
/** Reads in flight at a time. */
const AT_ONCE = 32;

const BARE = "bare GET";
const READ = "store.read";

/** A client, and how an application would get bytes with it. */
interface Connection {
  readonly client: RedisClient;
  get(key: string): Promise<unknown>;
  keys(pattern: string): Promise<string[]>;
  close(): unknown;
}

const CLIENTS: Readonly<Record<string, (url: string) => Promise<Connection> | Connection>> = {
  ioredis: (url) => connectWith(new Ioredis(url)),
  iovalkey: (url) => connectWith(new Iovalkey(url)),
  "node-redis": connectNodeRedis,
};

export const redis: Measurement = {
  name: "redis",
  what: "CPU time of a read from Redis against a bare GET, by client",

  async run(bench) {
    const effort = bench.pick<Effort>({
      full: { rounds: 15, operations: 10, sampleMs: 100 },
      quick: { rounds: 3, operations: 10, sampleMs: 40 },
      tiny: { rounds: 1, warmUps: 0, operations: 2, sampleMs: 1 },
    });
    const url = await bench.redisUrl();
    const rows: Cell[][] = [];
    const budgets: Budget[] = [];
    for (const [name, connect] of Object.entries(CLIENTS)) {
      const connection = await connect(url);
      const samples = await measureOne(name, connection, effort);
      await connection.close();
      const ratio = (path: string): number => medianRatio(samples, path, BARE);
      rows.push(...[...samples.keys()].map((path) => [name, path, medianOf(samples, path) / AT_ONCE, ratio(path)]));
      budgets.push(budget(`store.read by a bare GET, ${name}`, BUDGET, ratio(READ)));
    }
    return {
      about:
        `A session with 270 bytes of text, ${AT_ONCE} reads at a time on one connection; CPU time of the reading process, by ` +
        `that of a GET of the same bytes through the same client. Medians of ${effort.rounds} interleaved rounds.`,
      tables: [{ title: "A read", columns: ["client", "what", "us", "ratio"], rows }],
      budgets,
    };
  },
};

async function measureOne(name: string, connection: Connection, effort: Effort): Promise<Samples> {
  const prefix = `bench-${process.pid}:${name}:`;
  const store = redisStore(connection.client, { prefix, invalidations: true });
  const key = generateKey();
  const sessions = createSessionManager({ store, keys: [key], pruneEvery: false });
  const near = createSessionManager({ store: cached({}, store), keys: [key], pruneEvery: false });
  const { token } = await sessions.create({ userId: "ada", data: { text: "x".repeat(270) } });
  const [stored = ""] = await connection.keys(`${prefix}*:r:*`);
  const { entries } = await store.scan({ cursor: null, limit: 1 }, { now: 0, signal: new AbortController().signal });
  const record = entries[0];
  if (record === undefined) throw new Error("The session is not stored.");
  const call = { now: Date.now(), signal: new AbortController().signal };
  const cases: Case[] = [
    cpuCase(BARE, { run: many(() => connection.get(stored)) }),
    cpuCase(READ, { run: many(async () => store.read(record, call)) }),
    cpuCase("sessions.validate", { run: many(() => sessions.validate(token)) }),
    cpuCase("sessions.validate, cached", { run: many(() => near.validate(token)) }),
  ];
  const samples = await measure(cases, effort);
  await near.close();
  return samples;
}

function many(read: () => Promise<unknown>): () => Promise<unknown> {
  return () => Promise.all(Array.from({ length: AT_ONCE }, read));
}

/** ioredis and iovalkey have the same methods. */
function connectWith(client: Ioredis | Iovalkey): Connection {
  return {
    client,
    get: (key) => client.getBuffer(key),
    keys: (pattern) => client.keys(pattern),
    close: () => client.disconnect(),
  };
}

async function connectNodeRedis(url: string): Promise<Connection> {
  const client = createClient({ url });
  await client.connect();
  return {
    client,
    get: (key) => client.get(key),
    keys: (pattern) => client.keys(pattern),
    close: () => client.destroy(),
  };
}
