/** Tables of their own in a MariaDB for each storage, for tests that open a store in several processes. */
import { randomBytes } from "node:crypto";
import { createPool } from "mysql2/promise";
import { mysqlStore } from "symbolon/stores/mysql";

export const variants = [{ name: "mysqlStore over mysql2 (MariaDB)", server: "mariadb" }];

/** `max` connections a handle; `options` are the store's own. */
export async function prepare(variant, url) {
  const where = { url, max: 10, options: { table: `sessions_${randomBytes(8).toString("hex")}` } };
  const { store, close } = open(where);
  await store.migrate();
  await close();
  return where;
}

export function open({ url, max, options }) {
  const pool = createPool({ uri: url, connectionLimit: max });
  let ended = null;
  return { store: mysqlStore(pool, options), close: () => (ended ??= pool.end()) };
}

export async function drop({ url, options: { table } }) {
  const pool = createPool({ uri: url, connectionLimit: 1 });
  const tables = ["", "_locks", "_slots", "_migrations"].map((suffix) => `${table}${suffix}`);
  await pool.query(`DROP TABLE IF EXISTS ${tables.join(", ")}`);
  await pool.end();
}
