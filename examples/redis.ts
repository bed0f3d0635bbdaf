/** Sessions in Redis: several processes share them, and "log me out everywhere" is one atomic step. */
import { createClient } from "redis";
import { createSessionManager, generateKey } from "symbolon";
import { redisStore } from "symbolon/stores/redis";

const url = process.env["SYMBOLON_REDIS_URL"] ?? "redis://127.0.0.1:6379";
const key = generateKey(); // Keep it: without it the store opens nothing.

/** What a process does at start; the caller ends the client, since it opened it. */
async function start() {
  // Or `new Redis(url)` or `new Cluster([...])` of ioredis or iovalkey; or createCluster, or createSentinel.
  const client = await createClient({ url })
    .on("error", (error) => console.error(error))
    .connect();
  const store = redisStore(client, { prefix: "example:" });
  const sessions = createSessionManager({ store, keys: [key], limits: { perUser: 3 } });
  return { client, sessions };
}

const [one, two] = await Promise.all([start(), start()]);

// Ten logins at once on two processes: never more than three live.
const logins = Array.from({ length: 10 }, (_, index) => [one, two][index % 2]!.sessions.create({ userId: "ada" }));
const [last] = (await Promise.all(logins)).toReversed();
console.log(`After ten logins at once: ${await two.sessions.count({ userId: "ada" })} live`);

const ended = await one.sessions.revokeAll("ada");
const found = await two.sessions.validate(last?.token ?? "");
console.log(`Ended: ${ended}. The other process finds ${found === null ? "none" : "one"}.`);

for (const { sessions, client } of [one, two]) {
  await sessions.close();
  await client.close();
}
