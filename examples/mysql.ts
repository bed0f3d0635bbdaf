/** Sessions in MySQL or MariaDB: the tables are made by `migrate()`, and a limit holds however many log in at once. */
import { createPool } from "mysql2/promise";
import { createSessionManager, generateKey } from "symbolon";
import { mysqlStore } from "symbolon/stores/mysql";

const url = process.env["SYMBOLON_MARIADB_URL"] ?? "mysql://root@127.0.0.1:3306/symbolon";
const table = "example_sessions";
const key = generateKey(); // Keep it: without it the tables open nothing.

const pool = createPool(url);
const store = mysqlStore(pool, { table });
await store.migrate(); // At deployment, or at each start: what is there already is left alone.

const sessions = createSessionManager<{ cart: string[] }>({
  store,
  keys: [key],
  limits: { perUser: 2, onLimit: "reject" },
});

const logins = await Promise.allSettled(
  Array.from({ length: 10 }, () => sessions.create({ userId: "ada", data: { cart: [] } })),
);
const tokens = logins.flatMap((login) => (login.status === "fulfilled" ? [login.value.token] : []));
console.log(`Of ten logins at once: ${tokens.length} succeeded`);

const session = await sessions.validate(tokens[0] ?? "");
await Promise.all(["tea", "cup"].map(async (item) => session?.update(({ cart }) => void cart.push(item))));
console.log(`In the cart: ${session?.data.cart.toSorted().join(", ")}`);
console.log(`Ended everywhere: ${await sessions.revokeAll("ada")}`);

await sessions.close();
const tables = ["", "_locks", "_slots", "_migrations"].map((suffix) => `${table}${suffix}`);
await pool.query(`DROP TABLE ${tables.join(", ")}`);
await pool.end();
