/** Koa: the session as `sessionOf(ctx, sessions)`, typed; saved before the answer leaves. */
import { once } from "node:events";
import type { AddressInfo } from "node:net";
import Koa from "koa";
import { createSessionManager, generateKey } from "symbolon";
import { koaSession, sessionOf } from "symbolon/frameworks/koa";
import { memoryStore } from "symbolon/stores/memory";

const sessions = createSessionManager<{ visits?: number }>({
  store: memoryStore(),
  keys: [generateKey()], // In production: [process.env.SYMBOLON_KEY]
  development: true, // Plain http on this machine; leave it out elsewhere.
});

const app = new Koa();
app.use(koaSession(sessions));
app.use((ctx) => {
  const { data } = sessionOf(ctx, sessions);
  data.visits = (data.visits ?? 0) + 1;
  ctx.body = `Visit ${data.visits}`;
});

const server = app.listen(0, "127.0.0.1");
await once(server, "listening");
const address = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;

const first = await fetch(address);
const cookie = first.headers.getSetCookie()[0]?.split(";")[0] ?? "";
console.log(await first.text());
console.log(await (await fetch(address, { headers: { cookie } })).text());

server.close();
await sessions.close();
