/** JWT sessions on every kind of store: opened in one process, ended in another, by whatever names them. */
import type { IssuedTokens, JwtSessionManager } from "symbolon/jwt";
import { expect, it } from "vitest";
import { describeEvery } from "../support/every-variant.ts";
import { foundBy, generationOf, type JwtOptions, jwtsOver, refreshedBy, refreshOf } from "../support/jwt-sessions.ts";
import { pairsOn, type ProcessPair, rotatingVariants } from "../support/process-pair.ts";
import type { Options } from "../support/sessions.ts";

const USER = "user-1";
const SECOND = 1000;
const MINUTE = 60 * SECOND;
const SINGLE = { tokens: "single" } as const;
const FOR_SINGLE = { seal: "server" } as const;

type World = Pick<ProcessPair, "clock" | "heard"> & {
  readonly one: JwtSessionManager;
  readonly two: JwtSessionManager;
};

const logIn = (jwts: JwtSessionManager): Promise<IssuedTokens> => jwts.create({ userId: USER, roles: ["reader"] });

/** By what a session is ended, made from its first tokens and the next ones. */
const targets = {
  "its access token": ({ next }) => next.accessToken,
  "an access token that was refreshed away": ({ first }) => first.accessToken,
  "its refresh token": ({ next }) => refreshOf(next),
  "the refresh token of before": ({ first }) => refreshOf(first),
  "the jti of its access token": ({ next }) => ({ jti: next.claims.jti ?? "" }),
  "the jti of one that was refreshed away": ({ first }) => ({ jti: first.claims.jti ?? "" }),
  "user and sid": ({ next }) => ({ userId: USER, sid: next.claims.sid ?? "" }),
} satisfies Record<string, (held: { first: IssuedTokens; next: IssuedTokens }) => unknown>;

describeEvery(
  "JWT sessions",
  "store",
  (variant) => {
    const pairOf = pairsOn(variant);

    function world(options: Options = {}, jwt: JwtOptions = {}): World {
      const { one, two, clock, heard } = pairOf(options);
      return { clock, heard, one: jwtsOver(one, jwt), two: jwtsOver(two, jwt) };
    }

    it("are opened in every process, by tokens that name them", async () => {
      const { one, two, clock } = world();
      const { accessToken, claims, session } = await logIn(one);
      const found = await two.inspect(accessToken);
      expect(found).toMatchObject({ ok: true, claims });
      const opened = await two.validate(accessToken);
      expect([opened?.id, opened?.userId, opened?.roles]).toEqual([claims.sid, USER, ["reader"]]);
      expect([opened?.id, opened?.createdAt]).toEqual([session.id, clock.now()]);
      expect([await two.userOf(accessToken), await two.userOf(`${accessToken}A`)]).toEqual([USER, null]);
    });

    it.each(Object.keys(targets))("end everywhere by %s, once", async (name) => {
      const { one, two, heard } = world();
      const other = await logIn(one);
      const first = await logIn(one);
      const next = await refreshedBy(one, first.refreshToken);
      const target = targets[name as keyof typeof targets]({ first, next });
      expect(await two.revoke(target, "by hand")).toBe(USER);
      for (const jwts of [one, two]) expect(await foundBy(jwts, next.accessToken)).toBe("ended: by hand");
      expect([await one.refresh(refreshOf(next)), await two.revoke(target)]).toEqual([null, null]);
      expect(heard.filter(({ type }) => type === "revoked")).toEqual([
        expect.objectContaining({ id: first.claims.sid, userId: USER, reason: "by hand" }),
      ]);
      expect(await foundBy(two, other.accessToken)).toBe(USER);
    });

    it("end by a token that has expired", async () => {
      const { one, two, clock } = world();
      const first = await logIn(one);
      clock.advance(10 * MINUTE);
      expect(await foundBy(two, first.accessToken)).toBe("expired");
      expect(await two.revoke(first.accessToken)).toBe(USER);
      expect(await one.refresh(refreshOf(first))).toBeNull();
    });

    it("are kept from idling out by the use of their access tokens", async () => {
      const { one, two, clock } = world({ lifetime: { idle: "30m", absolute: "12h" } }, { accessTtl: "2h" });
      let { accessToken, refreshToken } = await logIn(one);
      // A token ends with what its session had left when it was issued.
      for (let times = 0; times < 5; times++) {
        clock.advance(15 * MINUTE);
        expect((await two.validate(accessToken))?.lastSeenAt).toBe(clock.now());
        ({ accessToken, refreshToken } = await refreshedBy(one, refreshToken));
      }
      clock.advance(30 * MINUTE);
      expect([await foundBy(one, accessToken), await one.refresh(refreshToken ?? "")]).toEqual(["expired", null]);
    });

    it("are logged out where the store was not asked, and so everywhere", async () => {
      const { one, two } = world();
      const offline = jwtsOver(one.sessions, { verification: "offline" });
      const first = await logIn(two);
      const session = await offline.validate(first.accessToken);
      await session?.logout();
      expect(await foundBy(offline, first.accessToken)).toBe("ended");
      expect(await foundBy(two, first.accessToken)).toBe("ended: logout");
      expect(await two.refresh(refreshOf(first))).toBeNull();
      if (variant.abilities.has("owner-index")) expect(await two.count({ userId: USER })).toBe(0);
    });

    it("of a single token are refreshed by it, with their data, and end when an old one comes back", async () => {
      const { one, two, clock, heard } = world(FOR_SINGLE, SINGLE);
      const first = await one.create({ userId: USER, data: { n: 1 } });
      expect([first.refreshToken, "refresh_token" in first.toResponse()]).toEqual([null, false]);
      const second = await refreshedBy(two, first.accessToken);
      expect([generationOf(first.accessToken), generationOf(second.accessToken)]).toEqual([1, 2]);
      expect(await foundBy(one, first.accessToken)).toBe("replaced");
      clock.advance(10 * SECOND - 1);
      const again = await refreshedBy(one, first.accessToken);
      for (const { accessToken } of [second, again]) {
        expect((await two.validate(accessToken))?.data).toEqual({ n: 1 });
      }
      expect(heard.filter(({ type }) => type === "rotated")).toHaveLength(1);
      clock.advance(1);
      expect(await two.refresh(first.accessToken)).toBeNull();
      expect(await foundBy(one, again.accessToken)).toBe("ended: reuse-detected");
      expect(heard.filter(({ type }) => type === "reuse-detected")).toHaveLength(1);
    });

    it("of a single token get one generation, whoever refreshes at once", async () => {
      const { one, two, heard } = world(FOR_SINGLE, SINGLE);
      const { accessToken } = await logIn(one);
      const answers = await Promise.all(
        Array.from({ length: 50 }, (_, at) => refreshedBy(at % 2 === 0 ? one : two, accessToken)),
      );
      expect(new Set(answers.map((answer) => generationOf(answer.accessToken)))).toEqual(new Set([2]));
      expect(heard.filter(({ type }) => type === "rotated")).toHaveLength(1);
      for (const answer of answers) expect(await foundBy(two, answer.accessToken)).toBe(USER);
    });

    it("of a single token that is good once are refreshed once, whoever refreshes at once", async () => {
      const { one, two, heard } = world({ ...FOR_SINGLE, rotation: { grace: 0 } }, SINGLE);
      const { accessToken } = await logIn(one);
      const answers = await Promise.all(
        Array.from({ length: 50 }, (_, at) => (at % 2 === 0 ? one : two).refresh(accessToken)),
      );
      expect(answers.filter((answer) => answer !== null)).toHaveLength(1);
      expect(heard.filter(({ type }) => type === "rotated")).toHaveLength(1);
    });

    if (variant.abilities.has("owner-index")) {
      it("are counted while they live", async () => {
        const { one, two, clock } = world({ lifetime: { idle: "1h", absolute: "2h" } });
        const held = [await logIn(one), await logIn(two), await two.create({ userId: "user-2", tenant: "t" })];
        expect([await one.count({ userId: USER }), await one.count({ userId: "user-2" })]).toEqual([2, 1]);
        await two.revoke(held[0]?.accessToken ?? "");
        await refreshedBy(two, held[1]?.refreshToken ?? "");
        expect(await one.count({ userId: USER })).toBe(1);
        clock.advance(60 * MINUTE);
        expect(await one.count({ userId: USER })).toBe(0);
      });
    }

    if (variant.abilities.has("admission")) {
      it("that are refused leave the session there is, with tokens that work", async () => {
        const { one, two } = world({ limits: { perUser: 1, onLimit: "reject" } });
        const first = await logIn(one);
        await expect(logIn(two)).rejects.toMatchObject({ code: "ERR_SESSION_LIMIT" });
        expect(await foundBy(two, first.accessToken)).toBe(USER);
        expect(await foundBy(two, (await refreshedBy(two, first.refreshToken)).accessToken)).toBe(USER);
      });

      it("that give way to newer ones take their tokens with them", async () => {
        const { one, two } = world({ limits: { perUser: 1 } });
        const first = await logIn(one);
        const second = await logIn(two);
        expect([await foundBy(one, first.accessToken), await one.refresh(refreshOf(first))]).toEqual([
          "ended: evicted",
          null,
        ]);
        expect(await foundBy(one, second.accessToken)).toBe(USER);
      });
    }
  },
  rotatingVariants,
);
