/** `WWW-Authenticate`, in every framework (RFC 6750 section 3, RFC 9470 section 3). */
import { apiTokens } from "symbolon/auth/api-tokens";
import { sessionOf } from "symbolon";
import { challengeOf } from "symbolon/frameworks/node";
import { describe, expect, it } from "vitest";
import type { Guarding, Handler } from "./support/app.ts";
import type { Answer } from "./support/client.ts";
import { askAs, bearer, jwtBackstage, serveJwt } from "./support/jwt-stage.ts";
import { ask, backstage, COOKIE, HTTPS, serve } from "./support/stage.ts";
import { TARGETS } from "./support/targets.ts";

const LOGIN: Guarding = { choose: (from, options) => from.requireLogin(options) };
const ADMIN: Guarding = { choose: (from, options) => from.requireRole("admin", options) };
const FRESH: Guarding = { choose: (from, options) => from.requireFresh("5m", options) };
const STAMP: Guarding = { choose: (from, options) => from.requireStamp(() => "stamp-2", options) };
const PENDING: Guarding = { choose: (from, options) => from.requirePending("second-factor", options) };

const NO_TOKEN = 'Bearer realm="default"';
const INVALID = 'Bearer realm="default", error="invalid_token"';
const STEP_UP = 'Bearer realm="default", error="insufficient_user_authentication"';
const SCOPE = 'Bearer realm="default", error="insufficient_scope"';

const welcome: Handler = ({ respond }) => respond.send(200, "in");

/** Status and challenge. */
function met({ status, headers }: Answer): readonly [number, string | null] {
  return [status, headers.get("www-authenticate")];
}

describe.each(TARGETS)("guards over bearer JWTs on $name", (target) => {
  it("challenge who has no token without an error, and say of a bad one that it is bad", async () => {
    for (const guarding of [LOGIN, ADMIN, FRESH, STAMP, PENDING]) {
      const served = await serveJwt(target, jwtBackstage(), welcome, guarding);
      expect(met(await ask(served, "/"))).toEqual([401, NO_TOKEN]);
      expect(met(await ask(served, "/", { authorization: "Basic YTpi" }))).toEqual([401, NO_TOKEN]);
      expect(met(await ask(served, "/", { cookie: `${COOKIE}=x; __Host-access=x` }))).toEqual([401, NO_TOKEN]);
      expect(met(await askAs(served, "x"))).toEqual([401, INVALID]);
    }
  });

  it("say what is missing: a role, a login that is fresh, a stamp that is the user's", async () => {
    const cases = [
      [LOGIN, [200, null]],
      [ADMIN, [403, SCOPE]],
      [FRESH, [401, STEP_UP]],
      [STAMP, [401, INVALID]],
      [PENDING, [401, NO_TOKEN]],
    ] as const;
    for (const [guarding, expected] of cases) {
      const behind = jwtBackstage();
      const issued = await behind.jwts.create({ userId: "ada", roles: ["user"], stamp: "stamp-1" });
      behind.clock.advance(300_000);
      const served = await serveJwt(target, behind, welcome, guarding);
      expect(met(await askAs(served, issued))).toEqual(expected);
    }
  });

  it("let pass who has the role and a fresh login, and nobody offline as fresh", async () => {
    for (const [verification, expected] of [
      ["stateful", [200, null]],
      ["offline", [401, STEP_UP]],
    ] as const) {
      const behind = jwtBackstage({ verification });
      const issued = await behind.jwts.create({ userId: "ada", roles: ["admin"] });
      expect(met(await askAs(await serveJwt(target, behind, welcome, ADMIN), issued))).toEqual([200, null]);
      expect(met(await askAs(await serveJwt(target, behind, welcome, FRESH), issued))).toEqual(expected);
    }
  });

  it("leave the answer to onRefused, which can send the challenge, too", async () => {
    const behind = jwtBackstage();
    const served = await serveJwt(target, behind, welcome, {
      choose: (from, options) => from.requireLogin(options),
      onRefused: (refusal, { request, respond }) => {
        const challenge = challengeOf(request, sessionOf(request, behind.jwts), refusal);
        respond.send(401, "own words", { "WWW-Authenticate": `${challenge ?? ""}, Basic realm="old"` });
      },
    });
    const answer = await askAs(served, "x");
    expect([...met(answer), answer.body.toString()]).toEqual([401, `${INVALID}, Basic realm="old"`, "own words"]);
  });

  it("let OPTIONS pass without one", async () => {
    const served = await serveJwt(target, jwtBackstage(), welcome, LOGIN);
    const answer = await served.ask({ path: "/", method: "OPTIONS", headers: HTTPS }).answer;
    expect(met(answer)).toEqual([200, null]);
  });
});

describe.each(TARGETS)("guards over tokens that are no JWTs on $name", (target) => {
  it("challenge nobody where access tokens come in cookies only", async () => {
    const served = await serveJwt(target, jwtBackstage({ carrier: "cookie" }), welcome, LOGIN);
    expect(met(await ask(served, "/"))).toEqual([401, null]);
    expect(met(await askAs(served, "x"))).toEqual([401, null]);
  });

  it("challenge for API tokens alike", async () => {
    const behind = backstage({ bearer: "api-tokens" });
    const tokens = apiTokens(behind.sessions);
    const { token } = await tokens.create("ada", { name: "build server", roles: ["read"] });
    const { token: gone } = await tokens.create("ada", { name: "old" });
    await tokens.revokeToken(gone);
    const session = await behind.sessions.create({ userId: "ada" });
    const guarded = await serve(target, behind, welcome, ADMIN);
    expect(met(await ask(guarded, "/"))).toEqual([401, NO_TOKEN]);
    expect(met(await ask(guarded, "/", bearer(token)))).toEqual([403, SCOPE]);
    expect(met(await ask(guarded, "/", bearer(gone)))).toEqual([401, INVALID]);
    expect(met(await ask(guarded, "/", bearer(session.token)))).toEqual([401, INVALID]);
    expect(met(await ask(await serve(target, behind, welcome, FRESH), "/", bearer(token)))).toEqual([401, STEP_UP]);
  });
});
