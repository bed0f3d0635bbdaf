/** A visit counter on a plain `node:http` server. */
import { once } from "node:events";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { createSessionManager, generateKey } from "symbolon";
import { withSession } from "symbolon/frameworks/node";
import { memoryStore } from "symbolon/stores/memory";

const sessions = createSessionManager<{ visits?: number }>({
  store: memoryStore(),
  keys: [generateKey()], // In production: [process.env.SYMBOLON_KEY]
  development: true, // Plain http on this machine; leave it out elsewhere.
});

const handle = withSession(sessions, (_request, response, session) => {
  session.data.visits = (session.data.visits ?? 0) + 1;
  response.end(`Visit ${session.data.visits}`);
});
const server = createServer((request, response) => void handle(request, response));

// Act as a browser would: keep the cookie of the first answer, and send it with the second request.
server.listen(0, "127.0.0.1");
await once(server, "listening");
const address = `http://127.0.0.1:${(server.address() as AddressInfo).port}/`;
const first = await fetch(address);
const cookie = first.headers.getSetCookie()[0]?.split(";")[0] ?? "";
console.log(await first.text());
console.log(await (await fetch(address, { headers: { cookie } })).text());

server.close();
await sessions.close();
