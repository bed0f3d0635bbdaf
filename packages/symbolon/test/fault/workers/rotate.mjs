/**
 * One of several processes whose requests come with one token: told on standard input, a line of JSON each, first
 * `{ kind, where, key, ahead }`, then `{ way, token, times, mark, rotation, startAt }`. Answers each with a line of JSON:
 * `{ answers, events, from, until }`. Its clock is ahead by so many milliseconds.
 */
import { createInterface } from "node:readline";
import { setTimeout as sleep } from "node:timers/promises";
import { createSessionManager, openSession } from "symbolon";
import { createJwtSessionManager } from "symbolon/jwt";

const lines = createInterface({ input: process.stdin })[Symbol.asyncIterator]();
process.stdout.write("ready\n");
const { kind, where, key, ahead } = JSON.parse((await lines.next()).value);
const target = await import(`../../targets/${kind}.mjs`);
const { store } = await target.open(where);
const clock = { now: () => Date.now() + ahead };
const shared = { keys: [key], store, clock, storeTimeout: "1m", pruneEvery: false };
process.stdout.write("prepared\n");

const ways = {
  /** A request with a cookie, which writes a value of its own: whose session it was, and the token it was given. */
  async visit(sessions, { token, mark }, index) {
    const opened = await openSession(sessions, {
      get: (name) => (name === "cookie" ? `__Host-sid=${token}` : undefined),
    });
    if (index % 4 === 0) opened.session.data[`${mark}-${index}`] = true;
    const found = opened.refusal?.reason ?? opened.session.userId;
    const [cookie] = await opened.commit();
    return { found, token: cookie?.slice(11, 94) ?? null };
  },

  async refresh(sessions, { token }) {
    const session = await sessions.refresh(token);
    return { found: session?.userId ?? null, token: session?.token ?? null };
  },

  /** As `refresh`, in a pair: `found` is the access token. */
  async refreshPair(sessions, { token, jwt }) {
    const issued = await createJwtSessionManager({ sessions, ...jwt }).refresh(token);
    return { found: issued?.accessToken ?? null, token: issued?.refreshToken ?? null };
  },
};

for await (const line of lines) {
  const { way, times, rotation, startAt, ...orders } = JSON.parse(line);
  const sessions = createSessionManager({ ...shared, rotation });
  const events = [];
  sessions.on("*", ({ type }) => events.push(type));
  await sleep(startAt - Date.now());
  const from = Date.now();
  const answers = await Promise.all(Array.from({ length: times }, (_, index) => ways[way](sessions, orders, index)));
  process.stdout.write(`${JSON.stringify({ answers, events, from, until: Date.now() })}\n`);
}
