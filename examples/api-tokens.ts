/** API tokens: made where the user is logged in, shown once, used by a program, listed and revoked. */
import { createSessionManager, generateKey } from "symbolon";
import { apiTokens } from "symbolon/auth/api-tokens";
import { requireRole, sessionOf, withSession } from "symbolon/frameworks/fetch";
import { memoryStore } from "symbolon/stores/memory";

const sessions = createSessionManager({ store: memoryStore(), keys: [generateKey()], bearer: "any" });
const tokens = apiTokens(sessions, { perUser: 2 });

const plants = withSession(
  sessions,
  requireRole("read:plants")((request) => {
    const { userId, apiToken, data } = sessionOf(request, sessions);
    data["reads"] = Number(data["reads"] ?? 0) + 1;
    return new Response(`plants of ${userId}, for "${apiToken?.name}", read ${String(data["reads"])} times`);
  }),
);

async function fetchPlants(token: string) {
  const headers = { Authorization: `Bearer ${token}` };
  const answer = await plants(new Request("https://app.example/plants", { headers }));
  console.log(`GET /plants: ${answer.status} ${answer.ok ? await answer.text() : ""}`);
}

// On a page that only the user reaches: behind requireFresh("10m"), which no API token passes.
const { token, info } = await tokens.create("ada", {
  name: "greenhouse sensor",
  roles: ["read:plants"],
  lifetime: "30d",
});
console.log(`Copy it now, it is not shown again: ${token.slice(0, 3)}… of ${token.length} characters`);

await fetchPlants(token);
await fetchPlants(token);

const other = await tokens.create("ada", { name: "without roles" });
await fetchPlants(other.token);
const refusal = await tokens.create("ada", { name: "one too many" }).catch((error: Error) => error.message);
console.log(typeof refusal === "string" ? refusal : "");

for (const one of (await tokens.list("ada")).tokens) {
  console.log(
    `- ${one.name}: ${one.roles.join(", ") || "no roles"}, ${one.lastUsedAt === null ? "never used" : "used"}`,
  );
}

// A token is no session: it is in no list of devices, and opens nothing where sessions are asked for.
console.log(`As a session: ${(await sessions.validate(token)) === null ? "nothing" : "something"}`);

console.log(
  `Revoked: ${String(await tokens.revoke("ada", info.id))}, again: ${String(await tokens.revoke("ada", info.id))}`,
);
await fetchPlants(token);
// Found in a public repository: whose was it? One-way digests are all that is stored, but the token itself tells.
console.log(`Leaked, and ended: ${String(await tokens.revokeToken(other.token, "leaked"))}'s`);
await sessions.close();
