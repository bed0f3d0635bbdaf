/** What plantdb's later JWTSessionManager does, an access and a refresh token, without its flaws; docs/coming-from.md names these tests. */
import { createSessionManager, generateKey, type SessionManager } from "symbolon";
import { requireLogin, withSession } from "symbolon/frameworks/fetch";
import { claimsOf, createJwtSessionManager, generateJwtKey, type JwtSessionManager } from "symbolon/jwt";
import { memoryStore } from "symbolon/stores/memory";
import { type ManualClock, manualClock } from "symbolon/testing";
import { beforeEach, describe, expect, it } from "vitest";
import { listen } from "../support/sessions.ts";

const MINUTE = 60_000;
const HOUR = 60 * MINUTE;

describe("coming from plantdb's pairs of tokens", () => {
  let clock: ManualClock;
  let sessions: SessionManager;
  let jwts: JwtSessionManager;

  beforeEach(async () => {
    clock = manualClock();
    sessions = createSessionManager({
      store: memoryStore(),
      keys: [generateKey()],
      clock,
      lifetime: { idle: "12h", absolute: "24h" },
      pruneEvery: false,
    });
    jwts = createJwtSessionManager({
      sessions,
      issuer: "plantdb-api",
      audience: "plantdb-client",
      signing: [await generateJwtKey("HS512")],
      accessTtl: "15m",
    });
  });

  async function pairOf(userId = "batman"): Promise<{ readonly access: string; readonly refresh: string }> {
    const { accessToken, refreshToken } = await jwts.create({ userId });
    return { access: accessToken, refresh: refreshToken ?? "" };
  }

  async function reasonOf(access: string): Promise<string> {
    const found = await jwts.inspect(access);
    return found.ok ? "valid" : found.reason;
  }

  it("creates a pair of one session: a JWT of 15 minutes, and beside it what lives as long as the session", async () => {
    const tokens = await jwts.create({ userId: "batman", roles: ["reader"] });
    expect(tokens.session).toMatchObject({ userId: "batman", expiresAt: clock.now() + 12 * HOUR });
    expect(tokens).toMatchObject({ expiresAt: clock.now() + 15 * MINUTE, claims: { sub: "batman", auth: ["reader"] } });
    expect(tokens.toResponse()).toEqual({
      access_token: tokens.accessToken,
      token_type: "Bearer",
      expires_in: 900,
      refresh_token: tokens.refreshToken,
    });
    // Neither a log nor an inspection shows them.
    for (const secret of [tokens.accessToken, tokens.refreshToken ?? ""]) {
      expect(JSON.stringify(tokens)).not.toContain(secret.slice(-40));
    }
  });

  it("keeps the two apart: each is refused in the place of the other, with the reason and no error", async () => {
    const { access, refresh } = await pairOf();
    expect(await jwts.refresh(access)).toBeNull();
    expect(await reasonOf(refresh)).toBe("malformed");
    expect(await jwts.userOf(refresh)).toBeNull();
    expect(await reasonOf(access)).toBe("valid");
    // An API takes no refresh token for an access token.
    const whoami = withSession(
      jwts,
      requireLogin()((_request, session) => new Response(session.userId)),
    );
    const get = (token: string): Promise<Response> =>
      whoami(new Request("https://plants.example/", { headers: { Authorization: `Bearer ${token}` } }));
    expect(await (await get(access)).text()).toBe("batman");
    expect((await get(refresh)).status).toBe(401);
  });

  it("lets access tokens expire and be refreshed, until the session itself ends", async () => {
    const { access, refresh } = await pairOf();
    clock.advance(15 * MINUTE);
    expect(await reasonOf(access)).toBe("expired");
    const next = await jwts.refresh(refresh);
    expect(await reasonOf(next?.accessToken ?? "")).toBe("valid");
    expect(next?.session).toMatchObject({ userId: "batman", createdAt: clock.now() - 15 * MINUTE });
    clock.advance(12 * HOUR);
    expect(await jwts.refresh(next?.refreshToken ?? "")).toBeNull();
    const last = await pairOf();
    let token = last.refresh;
    for (let hours = 4; hours < 24; hours += 4) {
      clock.advance(4 * HOUR);
      token = (await jwts.refresh(token))?.refreshToken ?? "";
    }
    clock.advance(4 * HOUR);
    expect(await jwts.refresh(token)).toBeNull();
  });

  it("rotates both tokens with a refresh, keeps the user, and counts no session more", async () => {
    const first = await pairOf();
    const second = await jwts.refresh(first.refresh);
    expect(second?.refreshToken).not.toBe(first.refresh);
    expect(second?.claims.sub).toBe("batman");
    expect([await reasonOf(first.access), await reasonOf(second?.accessToken ?? "")]).toEqual(["replaced", "valid"]);
    expect(await jwts.count()).toBe(1);
    // For whoever lost the answer the refresh token is the same.
    const again = await jwts.refresh(first.refresh);
    expect(again?.refreshToken).toBe(second?.refreshToken);
    expect([await reasonOf(again?.accessToken ?? ""), await reasonOf(second?.accessToken ?? "")]).toEqual([
      "valid",
      "valid",
    ]);
  });

  it("ends the session of a refresh token that is used again too late, with all its tokens, and says so", async () => {
    const heard = listen(sessions);
    const first = await pairOf();
    const second = await jwts.refresh(first.refresh);
    const other = await pairOf();
    clock.advance(10_000);
    expect(await jwts.refresh(first.refresh)).toBeNull();
    expect(heard.filter(({ type }) => type === "reuse-detected")).toHaveLength(1);
    expect(await reasonOf(second?.accessToken ?? "")).toBe("ended");
    expect(await jwts.refresh(second?.refreshToken ?? "")).toBeNull();
    expect(await reasonOf(other.access)).toBe("valid");
  });

  it("takes no junk for a refresh token, and ends nothing by it", async () => {
    const { access, refresh } = await pairOf();
    const forged = `${refresh.slice(0, -1)}${refresh.endsWith("A") ? "B" : "A"}`;
    for (const junk of ["", "junk", "a.b.c", forged, refresh.slice(1)]) expect(await jwts.refresh(junk)).toBeNull();
    expect([await reasonOf(access), (await jwts.refresh(refresh)) === null]).toEqual(["valid", false]);
  });

  it("ends both tokens by either, also by an expired access token, and answers whose they were", async () => {
    for (const by of ["access", "refresh"] as const) {
      const pair = await pairOf();
      expect(await jwts.revoke(pair[by])).toBe("batman");
      expect([await reasonOf(pair.access), await jwts.refresh(pair.refresh)]).toEqual(["ended", null]);
      expect(await jwts.revoke(pair[by])).toBeNull();
    }
    const late = await pairOf();
    clock.advance(HOUR);
    expect(await jwts.revoke(late.access)).toBe("batman");
    expect(await jwts.refresh(late.refresh)).toBeNull();
    expect(await jwts.revoke("junk")).toBeNull();
  });

  it("says which session a token is of, and which others the user has", async () => {
    const [one, other] = [await pairOf(), await pairOf()];
    const session = await jwts.validate(one.access);
    if (session === null) throw new Error("The session does not open.");
    expect(claimsOf(session)?.sid).toBe(session.id);
    expect(claimsOf((await sessions.validate(one.refresh)) ?? session)).toBeNull();
    expect((await sessions.list({ userId: "batman", current: session.id ?? "" })).sessions).toHaveLength(2);
    await sessions.revokeAll("batman", { except: session.id ?? [] });
    expect([await reasonOf(one.access), await reasonOf(other.access)]).toEqual(["valid", "ended"]);
  });

  it("counts what is active, however old the access tokens are, and cleans up what has expired", async () => {
    await pairOf("a");
    await pairOf("b");
    clock.advance(HOUR);
    expect(await jwts.count()).toBe(2);
    clock.advance(12 * HOUR);
    expect([await jwts.count(), await jwts.prune(), await jwts.prune()]).toEqual([0, 2, 0]);
  });
});
