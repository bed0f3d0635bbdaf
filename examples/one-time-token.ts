/** A link that resets a password: it opens a page as often as it likes, and works once. */
import { createSessionManager, generateKey } from "symbolon";
import { oneTimeTokens } from "symbolon/auth/one-time-tokens";
import { withSession } from "symbolon/frameworks/fetch";
import { memoryStore } from "symbolon/stores/memory";

const sessions = createSessionManager({ store: memoryStore(), keys: [generateKey()] });
const tokens = oneTimeTokens(sessions);

/** Stands for the application's table of users. */
const users = new Map([["ada", { passwordHash: "…", stamp: "1" }]]);

const reset = withSession(sessions, async (request) => {
  const token = new URL(request.url).searchParams.get("token") ?? "";
  // Mail programs fetch links, too: a GET must use nothing up. The address is a secret, so no page is told of it.
  if (request.method === "GET") {
    const isGood = (await tokens.peek("reset-password", token)) !== null;
    const page = isGood ? "Choose a new password" : "This link is no longer good";
    return new Response(page, { status: isGood ? 200 : 410, headers: { "Referrer-Policy": "no-referrer" } });
  }
  // First whatever could be refused, then the token: it is used up by this.
  const password = await request.text();
  if (password.length < 8) return new Response("At least 8 characters, please", { status: 422 });
  const use = await tokens.consume("reset-password", token);
  const user = users.get(use?.userId ?? "");
  if (use?.userId == null || user === undefined) return new Response("This link is no longer good", { status: 410 });
  Object.assign(user, { passwordHash: `hash of ${password}`, stamp: crypto.randomUUID() });
  const ended = await sessions.revokeAll(use.userId, { reason: "password-reset" });
  await tokens.revokeAll(use.userId);
  return new Response(`Your password was changed, and ${ended} session ended. Please log in.`);
});

await sessions.create({ userId: "ada" });
const token = await tokens.issue("reset-password", { userId: "ada", lifetime: "15m" });

async function visit(method: string, body: string | null = null) {
  const headers = { "Sec-Fetch-Site": "same-origin" };
  const request = new Request(`https://app.example/reset?token=${token}`, { method, headers, body });
  const answer = await reset(request);
  console.log(`${method}: ${answer.status} ${await answer.text()}`);
}

await visit("GET");
await visit("GET");
console.log(`Good for something else: ${(await tokens.peek("confirm-address", token)) !== null}`);
await visit("POST", "short");
await visit("POST", "correct horse");
await visit("POST", "correct horse");
await visit("GET");
await sessions.close();
