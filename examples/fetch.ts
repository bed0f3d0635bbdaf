/** A handler of the Web's shape, `Request` in and `Response` out: Bun, Deno, service workers, Node adapters. */
import { createSessionManager, generateKey } from "symbolon";
import { withSession } from "symbolon/frameworks/fetch";
import { memoryStore } from "symbolon/stores/memory";

const sessions = createSessionManager<{ name?: string }>({
  store: memoryStore(),
  keys: [generateKey()], // In production: [process.env.SYMBOLON_KEY]
});

const handle = withSession(sessions, async (request, session) => {
  if (request.method === "POST") session.data.name = await request.text();
  return new Response(`Hello ${session.data.name ?? "stranger"}`);
});

// No server is needed to try it: hand it requests.
const url = "https://shop.example/";
console.log(await (await handle(new Request(url))).text());

const named = await handle(new Request(url, { method: "POST", body: "Ada" }));
const setCookie = named.headers.getSetCookie()[0] ?? "";
const [cookie = "", ...attributes] = setCookie.split("; ");
console.log(`${cookie.split("=")[0]}: ${attributes.join(", ")}`);

console.log(await (await handle(new Request(url, { headers: { cookie } }))).text());
await sessions.close();
