/** Express: the session as `sessionOf(request, sessions)`, typed; saved before the answer leaves. */
import { once } from "node:events";
import type { AddressInfo } from "node:net";
import express from "express";
import { createSessionManager, generateKey } from "symbolon";
import { expressSession, sessionOf } from "symbolon/frameworks/express";
import { memoryStore } from "symbolon/stores/memory";

const sessions = createSessionManager<{ cart?: Record<string, number> }>({
  store: memoryStore(),
  keys: [generateKey()], // In production: [process.env.SYMBOLON_KEY]
  development: true, // Plain http on this machine; leave it out elsewhere.
});

const app = express();
app.use(expressSession(sessions));
app.get("/", (_request, response) => void response.send("Welcome"));
app.post("/cart/:item", (request, response) => {
  const { data } = sessionOf(request, sessions);
  data.cart ??= {};
  data.cart[request.params.item] = (data.cart[request.params.item] ?? 0) + 1;
  response.json(data.cart);
});
app.post("/logout", async (request, response) => {
  await sessionOf(request, sessions).logout();
  response.send("Bye");
});

const server = app.listen(0, "127.0.0.1");
await once(server, "listening");
const address = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;

const welcome = await fetch(address);
console.log(`GET /: ${welcome.headers.getSetCookie().length} cookies for a visitor who stores nothing`);

const added = await fetch(`${address}/cart/tea`, { method: "POST" });
const cookie = added.headers.getSetCookie()[0]?.split(";")[0] ?? "";
console.log(`POST /cart/tea: ${await added.text()}`);

// As a browser does on a page of the application: without a word of where it comes from, it would be refused.
const headers = { cookie, "Sec-Fetch-Site": "same-origin" };
const post = async (path: string) => (await fetch(address + path, { method: "POST", headers })).text();
console.log(`POST /cart/cup: ${await post("/cart/cup")}`);
console.log(`POST /logout: ${await post("/logout")}`);
console.log(`POST /cart/tea with the old cookie: ${await post("/cart/tea")}`);

server.close();
await sessions.close();
