/** Sessions in memcached, which is fast and may forget. */
import Memcached from "memcached";
import { createSessionManager, generateKey } from "symbolon";
import { memcachedStore } from "symbolon/stores/memcached";

const { host } = new URL(process.env["SYMBOLON_MEMCACHED_URL"] ?? "memcached://127.0.0.1:11211");
// By default the client would give a server that failed up for hours: this asks again after 100 ms, for ever.
const patience = { retry: 100, failures: 1e9, failuresTimeout: 1000, retries: 6, minTimeout: 10, factor: 2 };
const client = new Memcached(host, patience);
const sessions = createSessionManager<{ n: number }>({ store: memcachedStore(client), keys: [generateKey()] });

const { token } = await sessions.create({ userId: "ada", data: { n: 1 } });
const session = await sessions.validate(token);
if (session === null) throw new Error("memcached has dropped the session.");
await Promise.all(Array.from({ length: 10 }, () => session.update((data) => void data.n++)));
console.log(`After 10 increments: n is ${(await sessions.validate(token))?.data.n}`);

// One session can be ended, but nobody can ask for all of a user's: memcached has no index.
await sessions.revokeToken(token, "logout");
console.log(`After the logout: ${(await sessions.inspect(token)).ok ? "live" : "gone"}`);

await sessions.close();
client.end();
