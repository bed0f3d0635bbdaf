/** Hono, here without a server: the session as `c.get("session")`, typed by the application's variables. */
import { Hono } from "hono";
import { createSessionManager, generateKey } from "symbolon";
import { honoSession, type SessionVariables } from "symbolon/frameworks/hono";
import { memoryStore } from "symbolon/stores/memory";

interface Data {
  name?: string;
}

const sessions = createSessionManager<Data>({
  store: memoryStore(),
  keys: [generateKey()], // In production: [process.env.SYMBOLON_KEY]
});

const app = new Hono<{ Variables: SessionVariables<Data> }>();
app.use(honoSession(sessions));
app.get("/", (c) => c.text(`Hello ${c.get("session").data.name ?? "stranger"}`));
app.post("/name", async (c) => {
  c.get("session").data.name = await c.req.text();
  return c.text("Pleased to meet you");
});

const url = "https://shop.example";
console.log(await (await app.request(`${url}/`)).text());

const named = await app.request(`${url}/name`, { method: "POST", body: "Ada" });
const cookie = named.headers.getSetCookie()[0]?.split(";")[0] ?? "";
console.log(await named.text());
console.log(await (await app.request(`${url}/`, { headers: { cookie } })).text());
await sessions.close();
