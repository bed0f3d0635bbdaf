/** Express: login, logout, and a page for those who are logged in. */
import { once } from "node:events";
import type { AddressInfo } from "node:net";
import express from "express";
import { createSessionManager, generateKey } from "symbolon";
import { expressSession, requireLogin, sessionOf } from "symbolon/frameworks/express";
import { memoryStore } from "symbolon/stores/memory";

const sessions = createSessionManager({
  store: memoryStore(),
  keys: [generateKey()], // In production: [process.env.SYMBOLON_KEY]
  development: true, // Plain http on this machine; leave it out elsewhere.
});

/** Stands for the application's own check: against a slow hash, and with a limit on attempts. */
async function findUser({ name, password }: { name?: unknown; password?: unknown }) {
  return name === "ada" && password === "correct horse" ? { id: "user-1", roles: ["editor"] } : null;
}

const app = express();
app.use(express.urlencoded({ extended: false }));
app.use(expressSession(sessions));
app.post("/login", async (request, response) => {
  const user = await findUser(request.body);
  if (user === null) return response.status(401).send("Wrong name or password.");
  await sessionOf(request, sessions).login(user.id, { roles: user.roles });
  return response.redirect(303, "/account");
});
app.post("/logout", async (request, response) => {
  await sessionOf(request, sessions).logout();
  response.redirect(303, "/");
});
app.get("/account", requireLogin(), (request, response) => {
  const { userId, roles } = sessionOf(request, sessions);
  response.send(`${userId}, ${roles.join()}`);
});

const server = app.listen(0, "127.0.0.1");
await once(server, "listening");
const address = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;

/** Acts as a browser: keeps the cookie, and says that a page of the application asks. */
let cookie = "";
async function visit(method: string, path: string, form?: Record<string, string>) {
  const body = form === undefined ? null : new URLSearchParams(form);
  const headers = { cookie, "Sec-Fetch-Site": "same-origin" };
  const answer = await fetch(address + path, { method, headers, body, redirect: "manual" });
  cookie = answer.headers.getSetCookie()[0]?.split(";")[0] ?? cookie;
  console.log(`${method} ${path}: ${answer.status} ${await answer.text()}`);
}

await visit("GET", "/account");
await visit("POST", "/login", { name: "ada", password: "correct horse" });
await visit("GET", "/account");
await visit("POST", "/logout");
await visit("GET", "/account");

server.close();
await sessions.close();
