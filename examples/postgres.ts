/** Sessions in PostgreSQL: the tables are made by `migrate()`, and a limit holds however many log in at once. */
import { Pool } from "pg";
import { createSessionManager, generateKey } from "symbolon";
import { postgresStore } from "symbolon/stores/postgres";

const url = process.env["SYMBOLON_POSTGRES_URL"] ?? "postgres://postgres@127.0.0.1:5432/postgres";
const table = "example_sessions";
const key = generateKey(); // Keep it: without it the tables open nothing.

// Or `postgres(url)` of postgres.js.
const pool = new Pool({ connectionString: url });
// Without a listener, pg ends the process when the server ends a connection that is idle.
pool.on("error", (error) => console.error(error.message));

const store = postgresStore(pool, { table });
await store.migrate(); // At deployment, or at each start: what is there already is left alone.

const sessions = createSessionManager<{ n: number }>({
  store,
  keys: [key],
  limits: { perUser: 3, onLimit: "evict-oldest" },
});

const logins = await Promise.all(Array.from({ length: 10 }, (_, n) => sessions.create({ userId: "ada", data: { n } })));
console.log(`After ten logins at once: ${await sessions.count({ userId: "ada" })} live`);

const tokens = logins.map(({ token }) => token);
const found = await Promise.all(tokens.map((token) => sessions.validate(token)));
const live = found.filter((session) => session !== null);
await Promise.all(live.map(async (session) => session.update((data) => void (data.n += 100))));
console.log(`Changed: ${live.filter(({ data }) => data.n >= 100).length}`);
console.log(`Ended everywhere: ${await sessions.revokeAll("ada")}`);

await sessions.close();
await pool.query(`DROP TABLE ${table}, ${table}_locks, ${table}_migrations`);
await pool.end();
