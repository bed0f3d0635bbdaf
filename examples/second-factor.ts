/** A login in two steps: after the password the session is `pending`, and opens the second step only. */
import { createSessionManager, generateKey } from "symbolon";
import { requireLogin, requirePending, withSession } from "symbolon/frameworks/fetch";
import { memoryStore } from "symbolon/stores/memory";

const sessions = createSessionManager<{ cart?: string }>({ store: memoryStore(), keys: [generateKey()] });

/** Stands for the application's own check, which counts the attempts and takes no code twice. */
const isCode = async (_userId: string, code: string) => code === "123456";

const password = withSession(sessions, async (_request, session) => {
  session.data.cart = "tea";
  // The password was right. The wish to be remembered goes along in `extra`; a pending login itself is short.
  await session.login("ada", { pending: "second-factor", extra: { remember: true }, carry: ["cart"] });
  return new Response(`state ${session.state}, user ${session.userId}`);
});

const waiting = requirePending("second-factor");
const code = withSession(
  sessions,
  waiting(async (request, session) => {
    const { userId } = session.pending ?? { userId: "" };
    if (!(await isCode(userId, await request.text()))) return new Response("Wrong code", { status: 401 });
    const { remember } = session.extra;
    await session.login(userId, { remember: remember === true, carry: ["cart"] });
    return new Response(`state ${session.state}, user ${session.userId}`);
  }),
);

const loggedIn = requireLogin();
const account = withSession(
  sessions,
  loggedIn((_request, { userId, data }) => new Response(`${userId}, cart: ${data.cart}`)),
);

let cookie = "";
async function post(name: string, handler: (request: Request) => Promise<Response>, body = "") {
  const headers = { cookie, "Sec-Fetch-Site": "same-origin" };
  const answer = await handler(new Request("https://app.example/", { method: "POST", headers, body }));
  cookie = answer.headers.getSetCookie()[0]?.split(";")[0] ?? cookie;
  console.log(`${name}: ${answer.status} ${await answer.text()}`);
}

await post("code before the password", code, "123456");
await post("password", password);
await post("account", account);
await post("wrong code", code, "000000");
await post("code", code, "123456");
await post("account", account);
await post("code again", code, "123456");
await sessions.close();
