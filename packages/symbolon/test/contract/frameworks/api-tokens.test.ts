import { apiTokens } from "symbolon/auth/api-tokens";
import { describe, expect, it } from "vitest";
import type { Guarding, Handler } from "./support/app.ts";
import { ask, backstage, begin, OWN_PAGE, post, serve } from "./support/stage.ts";
import { TARGETS } from "./support/targets.ts";

/** Counts its requests, and does on the way what the path says. */
const count: Handler = async ({ path, session, respond }) => {
  if (path === "/logout") await session.logout();
  if (path === "/login") await session.login("user-2");
  if (path === "/write") session.data["count"] = Number(session.data["count"] ?? 0) + 1;
  const { userId, apiToken, roles, data } = session;
  respond.send(200, JSON.stringify([userId, apiToken?.name ?? null, roles, data["count"] ?? 0]));
};

const NOBODY = [null, null, [], 0];
const ONLY_READERS: Guarding = { choose: (from, options) => from.requireRole("read", options) };
const ONLY_USERS: Guarding = { choose: (from, options) => from.requireFresh("1h", options) };

describe.each(TARGETS)("an API token on $name", (target) => {
  it.each([
    [false, false, false],
    [true, true, false],
    ["api-tokens", false, true],
    ["any", true, true],
  ] as const)(
    "opens a session where bearer is %s as that says, beside sessions",
    async (bearer, takesSession, takesApi) => {
      const behind = backstage({ bearer });
      const { token } = await apiTokens(behind.sessions).create("user-1", { name: "build server", roles: ["read"] });
      const session = await behind.sessions.create({ userId: "user-3" });
      const served = await serve(target, behind, count);
      const askAs = async (text: string): Promise<unknown> => {
        const answer = await ask(served, "/", { authorization: `Bearer ${text}` });
        expect([answer.status, answer.cookies]).toEqual([200, []]);
        return JSON.parse(answer.body.toString());
      };
      expect(await askAs(token)).toEqual(takesApi ? ["user-1", "build server", ["read"], 0] : NOBODY);
      expect(await askAs(session.token)).toEqual(takesSession ? ["user-3", null, [], 0] : NOBODY);
      expect(await askAs(`s1${token.slice(2)}`)).toEqual(NOBODY);
      expect(await askAs(`k1${session.token.slice(2)}`)).toEqual(NOBODY);
    },
  );

  it("keeps its data from request to request, gets no cookie, and no cache may share what it gets", async () => {
    const behind = backstage({ bearer: "api-tokens", cookie: { persistent: true }, rotation: { every: "request" } });
    const { token } = await apiTokens(behind.sessions).create("user-1", { name: "build server" });
    const served = await serve(target, behind, count);
    for (let round = 1; round <= 3; round++) {
      const answer = await post(served, "/write", { authorization: `Bearer ${token}` });
      expect(JSON.parse(answer.body.toString())).toEqual(["user-1", "build server", [], round]);
      expect([answer.cookies, answer.headers.get("cache-control")]).toEqual([[], "private, no-store"]);
      expect(answer.headers.get("vary")).toContain("Authorization, Cookie");
    }
  });

  it("neither logs in nor out: 403, no cookie, and it goes on", async () => {
    const behind = backstage({ bearer: "any" });
    const tokens = apiTokens(behind.sessions);
    const { token } = await tokens.create("user-1", { name: "build server" });
    const served = await serve(target, behind, count);
    for (const path of ["/logout", "/login"]) {
      const answer = await ask(served, path, { authorization: `Bearer ${token}` });
      expect([answer.status, answer.cookies]).toEqual([403, []]);
    }
    expect(await behind.sessions.count()).toBe(0);
    expect(await tokens.validate(token)).not.toBeNull();
  });

  it("is revoked for the very next request", async () => {
    const behind = backstage({ bearer: "any" });
    const tokens = apiTokens(behind.sessions);
    const { token } = await tokens.create("user-1", { name: "build server" });
    const served = await serve(target, behind, count);
    const authorization = `Bearer ${token}`;
    expect((await ask(served, "/", { authorization })).body.toString()).toContain("user-1");
    await tokens.revokeToken(token);
    expect(JSON.parse((await ask(served, "/", { authorization })).body.toString())).toEqual(NOBODY);
  });

  it("passes guards by its own roles, and none that wants the user", async () => {
    for (const [guarding, statuses] of [
      [ONLY_READERS, [200, 403]],
      [ONLY_USERS, [401, 401]],
    ] as const) {
      const behind = backstage({ bearer: "any" });
      const tokens = apiTokens(behind.sessions);
      const made = [
        await tokens.create("user-1", { name: "one", roles: ["read"] }),
        await tokens.create("user-1", { name: "two", roles: ["write"] }),
      ];
      const served = await serve(target, behind, count, guarding);
      const answers = await Promise.all(
        made.map(({ token }) => ask(served, "/", { authorization: `Bearer ${token}` })),
      );
      expect(answers.map(({ status }) => status)).toEqual(statuses);
    }
  });

  it("is judged by the same rules against other sites as a session's token", async () => {
    const behind = backstage({ bearer: "any" });
    const { token } = await apiTokens(behind.sessions).create("user-1", { name: "build server" });
    const session = await begin(behind, { userId: "user-3" });
    const served = await serve(target, behind, count);
    const requests: readonly Readonly<Record<string, string>>[] = [
      {},
      OWN_PAGE,
      { "sec-fetch-site": "cross-site", origin: "https://evil.example" },
      { "sec-fetch-site": "cross-site", origin: "https://evil.example", cookie: session.cookie },
    ];
    const statusesOf = async (text: string): Promise<number[]> => {
      const answers = requests.map((headers) =>
        served.ask({
          path: "/write",
          method: "POST",
          headers: { "x-forwarded-proto": "https", authorization: `Bearer ${text}`, ...headers },
        }),
      );
      return (await Promise.all(answers.map(({ answer }) => answer))).map(({ status }) => status);
    };
    const statuses = await statusesOf(token);
    expect(statuses).toEqual(await statusesOf(session.token));
    expect(statuses.slice(0, 2)).toEqual([200, 200]);
  });
});
