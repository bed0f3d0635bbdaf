/** A PostgreSQL schema for each storage, for tests that open a store in several processes. */
import { randomBytes } from "node:crypto";
import { Pool } from "pg";
import postgres from "postgres";
import { postgresStore } from "symbolon/stores/postgres";

const server = "postgres";

export const variants = [
  { name: "postgresStore over pg", server, client: "pg", invalidations: false },
  { name: "postgresStore over postgres.js", server, client: "postgres.js", invalidations: false },
  { name: "postgresStore over pg, tells", server, client: "pg", invalidations: true },
  { name: "postgresStore over postgres.js, tells", server, client: "postgres.js", invalidations: true },
];

/** `max` connections a handle; `options` are the store's own. */
export async function prepare({ client, invalidations }, url) {
  const schema = `symbolon_${randomBytes(8).toString("hex")}`;
  const where = { url, client, max: 10, options: { schema, invalidations } };
  await withPool(where, (pool) => pool.query(`CREATE SCHEMA ${schema}`));
  const { store, close } = open(where);
  await store.migrate();
  await close();
  return where;
}

export function open({ url, client, max, options }) {
  const { sql, end } = client === "pg" ? connectPg(url, max) : connectPostgresJs(url, max);
  const store = postgresStore(sql, options);
  let ended = null;
  return { store, close: () => (ended ??= Promise.resolve(store.close?.()).then(end)) };
}

export async function drop(where) {
  await withPool(where, (pool) => pool.query(`DROP SCHEMA IF EXISTS ${where.options.schema} CASCADE`));
}

async function withPool({ url }, work) {
  const { sql, end } = connectPg(url, 1);
  try {
    await work(sql);
  } finally {
    await end();
  }
}

function connectPg(url, max) {
  const sql = new Pool({ connectionString: url, max });
  // A connection that breaks while it is idle.
  sql.on("error", () => {});
  return { sql, end: () => sql.end() };
}

function connectPostgresJs(url, max) {
  const sql = postgres(url, { max, onnotice: () => {}, backoff: () => 0.05 });
  return { sql, end: () => sql.end({ timeout: 5 }) };
}
