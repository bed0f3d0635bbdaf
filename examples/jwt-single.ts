/** One JWT as the whole session, as plantdb has it: created, validated, refreshed, counted, ended by token or by `jti`. */
import { createSessionManager, generateKey, limitPresets, SessionLimitError } from "symbolon";
import { createJwtSessionManager, generateJwtKey } from "symbolon/jwt";
import { memoryStore } from "symbolon/stores/memory";

const jwts = createJwtSessionManager({
  sessions: createSessionManager({
    store: memoryStore(),
    keys: [generateKey()],
    lifetime: { idle: "1h", absolute: "12h" }, // No refresh moves the absolute end
    seal: "server", // There is no secret beside the JWT that could open the data
    limits: limitPresets.onlyOne,
  }),
  issuer: "plantdb-api",
  audience: "plantdb-client",
  signing: [await generateJwtKey("HS512")], // In production: [process.env.JWT_KEY], 64 random bytes or more
  accessTtl: "1h",
  tokens: "single",
});

const first = await jwts.create({ userId: "batman" });
const { iss, sub, exp, iat, jti } = first.claims;
console.log(`Created by ${iss}: of ${sub}, for ${exp - iat} s; beside it: ${first.refreshToken ?? "nothing"}`);

const found = await jwts.inspect(first.accessToken);
console.log(`Valid: ${found.ok && found.claims.sub === sub && found.claims.jti === jti}`);
console.log(`Active: ${await jwts.count()}, of ${await jwts.userOf(first.accessToken)}`);

// One session in all: who comes next is refused, and who is there stays.
try {
  await jwts.create({ userId: "joker" });
} catch (error) {
  if (!(error instanceof SessionLimitError)) throw error;
  console.log(`joker: ${error.message}`);
}
console.log(`batman is still in: ${(await jwts.validate(first.accessToken)) !== null}`);

// Refresh replaces the JWT; the one before is dead, not merely forgotten, and the session keeps its place.
const second = await jwts.refresh(first.accessToken);
if (second === null) throw new Error("There is no session.");
console.log(`Refreshed: another jti: ${second.claims.jti !== jti}; active: ${await jwts.count()}`);
const before = await jwts.inspect(first.accessToken);
console.log(`The token before: ${before.ok ? "valid" : before.reason}`);

// By the token, and twice.
console.log(`Ended: ${await jwts.revoke(second.accessToken)}; again: ${await jwts.revoke(second.accessToken)}`);
const ended = await jwts.inspect(second.accessToken);
console.log(`A token that was logged out: ${ended.ok ? "valid" : ended.reason}; active: ${await jwts.count()}`);
console.log(`It cannot be refreshed into a session: ${(await jwts.refresh(second.accessToken)) === null}`);

// By the jti alone, which a log may have. There is room again.
const third = await jwts.create({ userId: "joker" });
console.log(
  `Ended by jti: ${await jwts.revoke({ jti: third.claims.jti ?? "" })}; unknown: ${await jwts.revoke({ jti: "x" })}`,
);
await jwts.sessions.close();
