/** What plantdb's JWTSessionManager does, one JWT as the whole session, without its flaws; docs/coming-from.md names these tests. */
import { createSessionManager, generateKey, limitPresets, type Limits } from "symbolon";
import {
  createJwtSessionManager,
  generateJwtKey,
  type JwtKey,
  type JwtSessionManager,
  type JwtSessionManagerOptions,
  unsafeDecodeJwt,
} from "symbolon/jwt";
import { type MemoryStore, memoryStore } from "symbolon/stores/memory";
import { type ManualClock, manualClock } from "symbolon/testing";
import { beforeEach, describe, expect, it } from "vitest";

const HOUR = 3_600_000;
const PARTIES = { issuer: "plantdb-api", audience: "plantdb-client" };

describe("coming from plantdb's JWT sessions", () => {
  let clock: ManualClock;
  let store: MemoryStore;
  let signing: JwtKey;
  let jwts: JwtSessionManager;
  const keys = [generateKey()];

  beforeEach(async () => {
    clock = manualClock();
    store = memoryStore();
    signing = await generateJwtKey("HS512");
    jwts = managerOf();
  });

  /** A manager of the store there is, or of another. */
  function managerOf(
    options: Partial<JwtSessionManagerOptions<Record<string, unknown>>> = {},
    limits: Limits = { total: 10 },
    on: MemoryStore = store,
  ): JwtSessionManager {
    const lifetime = { idle: "1h", absolute: "3h" } as const;
    return createJwtSessionManager({
      sessions: createSessionManager({ store: on, keys, clock, lifetime, seal: "server", limits, pruneEvery: false }),
      ...PARTIES,
      signing: [signing],
      accessTtl: "1h",
      tokens: "single",
      ...options,
    });
  }

  async function reasonOf(token: string, by: JwtSessionManager = jwts): Promise<string> {
    const found = await by.inspect(token);
    return found.ok ? "valid" : found.reason;
  }

  it("creates a token with issuer, audience, subject, times and a jti of its own, and validates it", async () => {
    const { accessToken, refreshToken, claims, expiresAt } = await jwts.create({ userId: "batman" });
    const iat = clock.now() / 1000;
    expect(claims).toMatchObject({ iss: "plantdb-api", aud: "plantdb-client", sub: "batman", iat, exp: iat + 3600 });
    expect([refreshToken, expiresAt]).toEqual([null, clock.now() + HOUR]);
    expect(unsafeDecodeJwt(accessToken)?.header).toEqual({ alg: "HS512", typ: "sess+jwt", kid: signing.kid });
    const found = await jwts.inspect(accessToken);
    expect(found).toMatchObject({ ok: true, session: { userId: "batman", id: claims.sid }, claims });
    expect((await jwts.create({ userId: "batman" })).claims.jti).not.toBe(claims.jti);
  });

  it("notes the last access of a session, at most every tenth of the idle timeout", async () => {
    const { accessToken } = await jwts.create({ userId: "batman" });
    const begun = clock.now();
    clock.advance(1000);
    expect((await jwts.validate(accessToken))?.lastSeenAt).toBe(begun);
    clock.advance(HOUR / 2);
    expect((await jwts.validate(accessToken))?.lastSeenAt).toBe(clock.now());
  });

  it("hands out what nobody can change for others: not the record, and frozen claims", async () => {
    const { accessToken } = await jwts.create({ userId: "batman", roles: ["reader"] });
    const found = await jwts.inspect(accessToken);
    if (!found.ok) throw new Error(found.reason);
    expect(() => Object.assign(found.claims, { sub: "root" })).toThrow(TypeError);
    expect(() => (found.claims.auth as string[]).push("admin")).toThrow(TypeError);
    expect(await jwts.inspect(accessToken)).toMatchObject({ claims: { sub: "batman", auth: ["reader"] } });
  });

  it("answers null for a token that is expired, malformed, of another issuer, audience or key, and says which", async () => {
    const { kid = "" } = signing;
    const others = [
      ["wrong-issuer", managerOf({ issuer: "other-api" })],
      ["wrong-audience", managerOf({ audience: "other-client" })],
      ["bad-signature", managerOf({ signing: [{ ...(await generateJwtKey("HS512")), kid }] })],
      ["unknown-key", managerOf({ signing: [await generateJwtKey("HS512")] })],
      ["wrong-algorithm", managerOf({ signing: [{ ...(await generateJwtKey("HS256")), kid }] })],
    ] as const;
    for (const [reason, other] of others) {
      const { accessToken } = await other.create({ userId: "batman" });
      expect(await reasonOf(accessToken)).toBe(reason);
      expect(await jwts.validate(accessToken)).toBeNull();
      expect(await jwts.refresh(accessToken)).toBeNull();
      expect(await jwts.revoke(accessToken)).toBeNull();
      expect(await reasonOf(accessToken, other)).toBe("valid");
    }
    for (const junk of ["", "junk", "a.b", "not.a token", "💥"]) {
      expect(await jwts.validate(junk)).toBeNull();
      expect(await reasonOf(junk)).toBe("malformed");
    }
    const { accessToken } = await jwts.create({ userId: "batman" });
    clock.advance(HOUR - 1);
    expect(await reasonOf(accessToken)).toBe("valid");
    clock.advance(1);
    expect(await reasonOf(accessToken)).toBe("expired");
    expect([await jwts.validate(accessToken), await jwts.userOf(accessToken)]).toEqual([null, null]);
  });

  it("opens nothing by a token without a record: logged out, refreshed away, lost at a restart, never issued here", async () => {
    const [out, away, kept] = [
      await jwts.create({ userId: "a" }),
      await jwts.create({ userId: "b" }),
      await jwts.create({ userId: "c" }),
    ];
    await jwts.revoke(out.accessToken);
    await jwts.refresh(away.accessToken);
    expect([await reasonOf(out.accessToken), await reasonOf(away.accessToken)]).toEqual(["ended", "replaced"]);
    for (const { accessToken } of [out, away]) expect(await jwts.userOf(accessToken)).toBeNull();
    // Another process with the store and the keys has the sessions, too; one with an empty store has none.
    expect(await reasonOf(kept.accessToken, managerOf())).toBe("valid");
    const empty = managerOf({}, undefined, memoryStore());
    expect(await reasonOf(kept.accessToken, empty)).toBe("unknown");
    expect([await empty.refresh(kept.accessToken), await empty.revoke(kept.accessToken)]).toEqual([null, null]);
  });

  it("ends a session by its token, also an expired one, by its jti or by its handle, and answers whose it was", async () => {
    const byToken = await jwts.create({ userId: "a" });
    expect(await jwts.revoke(byToken.accessToken)).toBe("a");
    expect(await jwts.revoke(byToken.accessToken)).toBeNull();
    const byJti = await jwts.create({ userId: "b" });
    expect(await jwts.revoke({ jti: byJti.claims.jti ?? "" })).toBe("b");
    expect(await jwts.revoke({ jti: byJti.claims.jti ?? "" })).toBeNull();
    const byHandle = await jwts.create({ userId: "c" });
    const { sid = "" } = byHandle.claims;
    expect(await jwts.revoke({ userId: "a", sid })).toBeNull();
    expect(await jwts.revoke({ userId: "c", sid })).toBe("c");
    for (const { accessToken } of [byToken, byJti, byHandle]) expect(await reasonOf(accessToken)).toBe("ended");
    const late = await jwts.create({ userId: "d" });
    clock.advance(HOUR / 2);
    await jwts.validate(late.accessToken);
    clock.advance(HOUR / 2);
    expect(await reasonOf(late.accessToken)).toBe("expired");
    expect(await jwts.revoke(late.accessToken)).toBe("d");
    expect(await jwts.count()).toBe(0);
  });

  it("ends nothing by junk, by a jti that was never issued, or by nothing", async () => {
    const { accessToken, claims } = await jwts.create({ userId: "batman" });
    const jti = Buffer.from(claims.jti ?? "", "base64url");
    jti[0] = (jti[0] ?? 0) ^ 1;
    for (const target of ["", "junk", "a.b.c", { jti: "" }, { jti: "unknown" }, { jti: jti.toString("base64url") }]) {
      expect(await jwts.revoke(target)).toBeNull();
    }
    for (const target of [undefined, null]) {
      await expect(jwts.revoke(target as unknown as string)).rejects.toMatchObject({ code: "ERR_OPTIONS_INVALID" });
    }
    expect(await reasonOf(accessToken)).toBe("valid");
  });

  it("refreshes a token: same session, another jti, the token before dead, the absolute end unmoved", async () => {
    const first = await jwts.create({ userId: "batman", data: { n: 1 } });
    clock.advance(HOUR / 2);
    const second = await jwts.refresh(first.accessToken);
    expect(second?.claims).toMatchObject({ sub: "batman", sid: first.claims.sid, exp: clock.now() / 1000 + 3600 });
    expect(second?.claims.jti).not.toBe(first.claims.jti);
    expect(await reasonOf(first.accessToken)).toBe("replaced");
    expect((await jwts.validate(second?.accessToken ?? ""))?.data).toEqual({ n: 1 });
    expect(await jwts.count()).toBe(1);
    let token = second?.accessToken ?? "";
    for (let tick = 2; tick < 6; tick++) {
      clock.advance(HOUR / 2);
      token = (await jwts.refresh(token))?.accessToken ?? "";
      const left = 3 * HOUR - (tick * HOUR) / 2;
      expect(unsafeDecodeJwt(token)?.payload["exp"]).toBe((clock.now() + Math.min(left, HOUR)) / 1000);
    }
    clock.advance(HOUR / 2);
    expect([await reasonOf(token), await jwts.refresh(token)]).toEqual(["expired", null]);
  });

  it("takes no token back into life: not one that was logged out, has expired, or is used again too late", async () => {
    const out = await jwts.create({ userId: "a" });
    await jwts.revoke(out.accessToken);
    expect(await jwts.refresh(out.accessToken)).toBeNull();
    const late = await jwts.create({ userId: "b" });
    clock.advance(HOUR);
    expect(await jwts.refresh(late.accessToken)).toBeNull();
    const first = await jwts.create({ userId: "c" });
    const second = await jwts.refresh(first.accessToken);
    // The answer may have been lost: until the grace is over, the session's present token is handed out again.
    clock.advance(9999);
    const again = await jwts.refresh(first.accessToken);
    for (const tokens of [second, again]) expect(await reasonOf(tokens?.accessToken ?? "")).toBe("valid");
    expect(await jwts.count({ userId: "c" })).toBe(1);
    clock.advance(1);
    expect(await jwts.refresh(first.accessToken)).toBeNull();
    expect(await jwts.inspect(second?.accessToken ?? "")).toMatchObject({ ended: { reason: "reuse-detected" } });
  });

  it("counts active sessions only, and cleans up expired ones only, also when there are none", async () => {
    expect([await jwts.count(), await jwts.prune()]).toEqual([0, 0]);
    await jwts.create({ userId: "a" });
    clock.advance(HOUR / 2);
    const kept = await jwts.create({ userId: "b" });
    expect([await jwts.count(), await jwts.count({ userId: "a" })]).toEqual([2, 1]);
    clock.advance(HOUR / 2 + 61_000);
    expect([await jwts.count(), await jwts.prune(), await jwts.prune()]).toEqual([1, 1, 0]);
    expect(await jwts.userOf(kept.accessToken)).toBe("b");
  });

  it("refuses one more than the limit, until a session ends or expires; a refresh needs no place", async () => {
    const few = managerOf({}, { total: 2 });
    const refused = { code: "ERR_SESSION_LIMIT", limit: "total" };
    const first = await few.create({ userId: "a" });
    clock.advance(HOUR / 2);
    const second = await few.create({ userId: "a" });
    await expect(few.create({ userId: "c" })).rejects.toMatchObject(refused);
    expect(await few.refresh(second.accessToken)).not.toBeNull();
    await few.revoke(first.accessToken);
    await few.create({ userId: "c" });
    await expect(few.create({ userId: "d" })).rejects.toMatchObject(refused);
    clock.advance(HOUR);
    await few.create({ userId: "d" });
    expect(await few.count()).toBe(1);
  });

  it("has one session in all, or one of each user, and loses none by a refusal", async () => {
    const single = managerOf({}, limitPresets.onlyOne);
    const first = await single.create({ userId: "batman" });
    await expect(single.create({ userId: "joker" })).rejects.toMatchObject({ code: "ERR_SESSION_LIMIT" });
    const second = await single.refresh(first.accessToken);
    expect(await single.userOf(second?.accessToken ?? "")).toBe("batman");
    await single.revoke(second?.accessToken ?? "");
    await single.create({ userId: "joker" });
    const each = managerOf({}, limitPresets.firstWins);
    await expect(each.create({ userId: "joker" })).rejects.toMatchObject({ limit: "perUser" });
    await each.create({ userId: "batman" });
  });

  it("stays in order when many come at once: creates, validations, refreshes, ends", async () => {
    const few = managerOf({}, { total: 5 });
    const tries = await Promise.allSettled(Array.from({ length: 10 }, (_, n) => few.create({ userId: `user-${n}` })));
    const made = tries.flatMap((outcome) => (outcome.status === "fulfilled" ? [outcome.value] : []));
    expect([made.length, await few.count()]).toEqual([5, 5]);
    const [one, other] = made.map(({ accessToken }) => accessToken) as [string, string];
    const seen = await Promise.all(Array.from({ length: 10 }, () => few.userOf(one)));
    expect(new Set(seen)).toEqual(new Set([made[0]?.claims.sub]));
    const next = await Promise.all(Array.from({ length: 10 }, () => few.refresh(one)));
    for (const tokens of next) expect(await reasonOf(tokens?.accessToken ?? "", few)).toBe("valid");
    expect(await few.count()).toBe(5);
    const ends = await Promise.all(Array.from({ length: 10 }, () => few.revoke(other)));
    expect(ends.filter((whose) => whose !== null)).toEqual([made[1]?.claims.sub]);
    expect(await few.count()).toBe(4);
  });

  it("takes keys of 64 random bytes and none that is chosen, short, or missing; a key of the environment outlives a restart", async () => {
    const short = Buffer.from(String(signing["k"]), "base64url").subarray(1).toString("base64url");
    const bad = [
      "a passphrase",
      undefined,
      { ...signing, k: short },
      { ...signing, k: Buffer.alloc(64).toString("base64url") },
    ];
    for (const key of bad) expect(() => managerOf({ signing: [key] })).toThrow(/signing\[0\]/);
    const { accessToken } = await jwts.create({ userId: "batman" });
    expect(await reasonOf(accessToken, managerOf({ signing: [JSON.stringify(signing)] }))).toBe("valid");
    expect((await generateJwtKey("HS512"))["k"]).not.toBe((await generateJwtKey("HS512"))["k"]);
  });

  it("keeps no place for a session whose token could not be made", async () => {
    const failing = managerOf({ claims: () => ({ exp: 9e9 }) }, limitPresets.onlyOne);
    await expect(failing.create({ userId: "batman" })).rejects.toThrow("'exp' is ours");
    expect(await jwts.count()).toBe(0);
    for (const userId of ["", null, 7, undefined]) {
      await expect(jwts.create({ userId: userId as string })).rejects.toMatchObject({ code: "ERR_OPTIONS_INVALID" });
    }
  });

  it("reads what a token says without believing it, expired or not", async () => {
    const { accessToken, claims } = await jwts.create({ userId: "batman" });
    clock.advance(2 * HOUR);
    expect(unsafeDecodeJwt(accessToken)).toMatchObject({ trusted: false, payload: claims });
    expect(unsafeDecodeJwt("junk")).toBeNull();
  });
});
