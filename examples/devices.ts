/** The page "where you are logged in": names, the present session marked, and an end to one, the others or all. */
import { createSessionManager, generateKey, type SessionInfo } from "symbolon";
import { nameDevice } from "symbolon/auth/device-name";
import { memoryStore } from "symbolon/stores/memory";
import { manualClock } from "symbolon/testing";

const clock = manualClock();
const sessions = createSessionManager({ store: memoryStore(), keys: [generateKey()], nameDevice, clock });

const USER_AGENTS = [
  "Mozilla/5.0 (iPhone; CPU iPhone OS 18_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.5 Mobile/15E148 Safari/604.1",
  "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 Safari/537.36",
  "Mozilla/5.0 (X11; Linux x86_64; rv:143.0) Gecko/20100101 Firefox/143.0",
];

// In a binding, `session.login(userId)` notes by itself what the request says of its client.
for (const [index, userAgent] of USER_AGENTS.entries()) {
  await sessions.create({ userId: "ada", client: { userAgent, ip: `203.0.${113 + index}.7` } });
  clock.advance(60_000);
}

/** In a binding, the handle is `session.id`. */
const [present] = (await sessions.list({ userId: "ada" })).sessions;
const current = present?.id ?? "";

function lineOf({ device, lastSeenAt, current: isThis }: SessionInfo) {
  const minutes = Math.round((clock.now() - lastSeenAt) / 60_000);
  return `${device?.name} in ${device?.network}, ${minutes} min ago${isThis ? ", this one" : ""}`;
}

async function show() {
  const { sessions: all } = await sessions.list({ userId: "ada", current });
  for (const info of all) console.log(lineOf(info));
  return all;
}

const all = await show();

// The handle comes from a form, so it is asked for with its user: nobody ends another's session.
const phone = all.find(({ device }) => device?.name?.includes("iPhone"));
console.log(`As bob: ${await sessions.revoke("bob", phone?.id ?? "")}`);
console.log(`As ada: ${await sessions.revoke("ada", phone?.id ?? "")}`);

console.log(`The others: ${await sessions.revokeAll("ada", { except: current })}`);
await show();
await sessions.close();
