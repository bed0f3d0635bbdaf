/** A changed password ends the user's other sessions: `stamp`, `keepLogin` and `requireStamp`. */
import { createSessionManager, generateKey } from "symbolon";
import { requireStamp, withSession } from "symbolon/frameworks/fetch";
import { memoryStore } from "symbolon/stores/memory";

const sessions = createSessionManager({ store: memoryStore(), keys: [generateKey()] });

/** Stands for the application's table of users. Whoever writes a password writes another stamp with it. */
const users = new Map([["ada", { passwordHash: "…", stamp: "1" }]]);
const stampOf = (userId: string) => users.get(userId)?.stamp ?? null;

const guarded = requireStamp(stampOf);
const handle = withSession(
  sessions,
  guarded(async (request, session) => {
    const user = users.get(session.userId ?? "");
    if (user === undefined || request.method !== "POST") return new Response(`Hello ${session.userId}`);
    // First the hash and the stamp, in one step; then at once the session.
    Object.assign(user, { passwordHash: await request.text(), stamp: crypto.randomUUID() });
    await session.keepLogin(user.stamp);
    return new Response("Your password was changed, and your other sessions were ended.");
  }),
);

/** A browser in which ada is logged in. */
async function browser(name: string) {
  const { token } = await sessions.create({ userId: "ada", stamp: stampOf("ada") ?? "" });
  let cookie = `__Host-sid=${token}`;
  return async (method: string, body: string | null = null) => {
    const headers = { cookie, "Sec-Fetch-Site": "same-origin" };
    const answer = await handle(new Request("https://app.example/", { method, headers, body }));
    cookie = answer.headers.getSetCookie()[0]?.split(";")[0] ?? cookie;
    console.log(`${name}: ${answer.status} ${await answer.text()}`);
  };
}

const [laptop, phone] = [await browser("Laptop"), await browser("Phone")];
await phone("GET");
await laptop("POST", "the new password's hash");
await laptop("GET");
await phone("GET");

// A user who is no more has no stamp: the next request ends the session.
users.delete("ada");
await laptop("GET");
await sessions.close();
