/** apicrud's session record as a signed JWT, without its flaws; docs/coming-from.md names this test. */
import { createSessionManager, generateKey, type SessionManager } from "symbolon";
import {
  createJwtSessionManager,
  generateJwtKey,
  type JwtKey,
  type JwtSessionManager,
  unsafeDecodeJwt,
} from "symbolon/jwt";
import { memoryStore } from "symbolon/stores/memory";
import { type ManualClock, manualClock } from "symbolon/testing";
import { beforeEach, describe, expect, it } from "vitest";

const MINUTE = 60_000;

describe("coming from apicrud's signed session records", () => {
  let clock: ManualClock;
  let sessions: SessionManager;
  let signing: JwtKey;
  let jwts: JwtSessionManager;

  beforeEach(async () => {
    clock = manualClock();
    sessions = createSessionManager({ store: memoryStore(), keys: [generateKey()], clock, pruneEvery: false });
    signing = await generateJwtKey("HS256");
    jwts = managerWith(signing);
  });

  function managerWith(key: JwtKey): JwtSessionManager {
    return createJwtSessionManager({
      sessions,
      issuer: "dev.example.com",
      audience: "app",
      signing: [key],
      accessTtl: "2h",
      claims: ({ extra }) => ({ name: extra["name"] }),
    });
  }

  it("signs the record's claims, and of what else it holds only what is named", async () => {
    const extra = { name: "Ann", phone: "secret", jti: "x", auth: "admin", exp: 1 };
    const { accessToken, claims } = await jwts.create({ userId: "ann", roles: ["user", "editor"], extra });
    const payload = unsafeDecodeJwt(accessToken)?.payload;
    expect(payload).toEqual(claims);
    const names = ["aud", "auth", "auth_time", "exp", "iat", "iss", "jti", "name", "sid", "sub"];
    expect(Object.keys(payload ?? {}).toSorted()).toEqual(names);
    expect(payload).toMatchObject({ iss: "dev.example.com", sub: "ann", auth: ["user", "editor"], name: "Ann" });
    // A number of seconds, and no later than the session ends.
    expect(payload?.["exp"]).toBe((clock.now() + 60 * MINUTE) / 1000);
  });

  it("tells a token that is good from one that is missing, invalid or expired, and a bad one ends nobody's session", async () => {
    const { accessToken, claims } = await jwts.create({ userId: "ann" });
    const bob = await jwts.create({ userId: "bob" });
    expect(await jwts.inspect(accessToken)).toMatchObject({ ok: true, session: { userId: "ann" } });
    const reasonOf = (token: string): Promise<unknown> => jwts.inspect(token);
    // The record of another user, another record, another key: each would have cost the session there.
    const [head = "", , signature = ""] = accessToken.split(".");
    const altered = Buffer.from(JSON.stringify({ ...claims, sub: "bob" })).toString("base64url");
    const elsewhere = managerWith({ ...(await generateJwtKey("HS256")), kid: signing.kid ?? "" });
    const stolen = await elsewhere.create({ userId: "ann" });
    const [theirs = "", payload = ""] = bob.accessToken.split(".");
    for (const text of [`${head}.${altered}.${signature}`, stolen.accessToken, `${theirs}.${payload}.${signature}`]) {
      expect(await reasonOf(text)).toEqual({ ok: false, reason: "bad-signature" });
    }
    for (const { accessToken: good } of [{ accessToken }, bob]) expect(await jwts.validate(good)).not.toBeNull();
    await sessions.revoke("ann", claims.sid ?? "");
    expect(await reasonOf(accessToken)).toMatchObject({ ok: false, reason: "ended" });
    clock.advance(60 * MINUTE);
    expect(await reasonOf(bob.accessToken)).toEqual({ ok: false, reason: "expired" });
    expect(await reasonOf("")).toEqual({ ok: false, reason: "malformed" });
  });

  it("follows the roles of the live session, up and down, whatever the token says", async () => {
    const { accessToken, claims } = await jwts.create({ userId: "ann", roles: ["user", "admin"] });
    await sessions.update("ann", claims.sid ?? "", { roles: ["user"] });
    const found = await jwts.inspect(accessToken);
    expect(found).toMatchObject({ session: { roles: ["user"] }, claims: { auth: ["user", "admin"] } });
  });
});
