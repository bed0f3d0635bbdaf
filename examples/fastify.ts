/** Fastify: the session as `sessionOf(request, sessions)`, typed; guards as `preHandler`. */
import { fastify } from "fastify";
import { createSessionManager, generateKey } from "symbolon";
import { fastifySession, requireLogin, sessionOf } from "symbolon/frameworks/fastify";
import { memoryStore } from "symbolon/stores/memory";

const sessions = createSessionManager({
  store: memoryStore(),
  keys: [generateKey()], // In production: [process.env.SYMBOLON_KEY]
  development: true, // Plain http on this machine; leave it out elsewhere.
});

const app = fastify();
await app.register(fastifySession(sessions));
app.post("/login", async (request) => {
  // The application has checked the password by now.
  await sessionOf(request, sessions).login("ada");
  return "Welcome";
});
app.get("/account", { preHandler: requireLogin() }, async (request) => `For ${sessionOf(request, sessions).userId}`);

const address = await app.listen({ port: 0, host: "127.0.0.1" });
const refused = await fetch(`${address}/account`);
console.log(`GET /account: ${refused.status} ${await refused.text()}`);

const login = await fetch(`${address}/login`, { method: "POST" });
const cookie = login.headers.getSetCookie()[0]?.split(";")[0] ?? "";
console.log(`POST /login: ${await login.text()}`);
console.log(`GET /account: ${await (await fetch(`${address}/account`, { headers: { cookie } })).text()}`);

await app.close();
await sessions.close();
