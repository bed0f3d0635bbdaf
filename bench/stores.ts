/** Stores of a benchmark's own, each with a room of its own on the servers. */
import { randomBytes } from "node:crypto";
import { Pool } from "pg";
import type { Store } from "symbolon";
import { memoryStore } from "symbolon/stores/memory";
import { postgresStore } from "symbolon/stores/postgres";
import { redisStore } from "symbolon/stores/redis";
import type { Bench } from "./bench.ts";
import { connectRedis } from "./candidates/redis.ts";

export const STORES = ["memory", "Redis", "PostgreSQL"] as const;

export type StoreName = (typeof STORES)[number];

export interface OpenStore {
  readonly store: Store;
  readonly close: () => Promise<unknown>;
}

export async function openStore(name: StoreName, bench: Bench): Promise<OpenStore> {
  if (name === "Redis") return openRedis(await bench.redisUrl());
  if (name === "PostgreSQL") return openPostgres(await bench.postgresUrl());
  return { store: memoryStore({ maxRecords: 4_000_000 }), close: async () => undefined };
}

async function openRedis(url: string): Promise<OpenStore> {
  const client = await connectRedis(url);
  return { store: redisStore(client, { prefix: `${freshName()}:` }), close: async () => client.destroy() };
}

async function openPostgres(url: string): Promise<OpenStore> {
  const pool = new Pool({ connectionString: url, max: 10 });
  const schema = freshName();
  await pool.query(`CREATE SCHEMA ${schema}`);
  const store = postgresStore(pool, { schema });
  await store.migrate();
  const close = async (): Promise<void> => {
    await pool.query(`DROP SCHEMA ${schema} CASCADE`);
    await pool.end();
  };
  return { store, close };
}

function freshName(): string {
  return `bench_${randomBytes(8).toString("hex")}`;
}
