import { describe, expect, it } from "vitest";
import { createSessionManager, generateKey } from "symbolon";
import { memoryStore } from "symbolon/stores/memory";
import type { Handler } from "./support/app.ts";
import { fetchDirectly } from "./support/fetch-targets.ts";
import { ask, backstage, begin, COOKIE, dataOf, HTTPS, serve, tokenIn } from "./support/stage.ts";
import { TARGETS } from "./support/targets.ts";

/** Shows who the visitor is, and stores something on `/write`. */
const whoami: Handler = ({ path, session, respond }) => {
  if (path.startsWith("/write")) session.data["mine"] = true;
  respond.send(200, session.id ?? session.state);
};

/** A token of the right shape that another server made. */
async function foreignToken(): Promise<string> {
  const other = createSessionManager({ store: memoryStore(), keys: [generateKey()], pruneEvery: false });
  const { token } = await other.create();
  await other.close();
  return token;
}

describe.each(TARGETS)("a token that proves nothing, on $name", (target) => {
  it.each([
    ["of another server", foreignToken],
    ["with a changed tag", async (token: string) => token.slice(0, -1) + (token.endsWith("A") ? "Q" : "A")],
    ["cut short", async (token: string) => token.slice(0, -1)],
    ["made longer", async (token: string) => `${token}A`],
    ["escaped", async (token: string) => token.replace("_", "%5F")],
    ["of unprintable bytes", async () => "\u0080\u00ff"],
    ["that is empty", async () => ""],
    ["that is huge", async () => "A".repeat(6000)],
  ])("%s is anonymous, is never adopted, and reaches no store", async (_name, forge) => {
    const behind = backstage();
    const served = await serve(target, behind, whoami);
    const { token } = await begin(behind, {});
    const forged = await forge(token);
    const answer = await ask(served, "/", { cookie: `${COOKIE}=${forged}` });
    expect([answer.body.toString(), answer.cookies]).toEqual(["anonymous", []]);
    expect(behind.calls()).toEqual(["create"]);
    const written = await ask(served, "/write", { cookie: `${COOKIE}=${forged}` });
    const issued = tokenIn(written);
    expect(issued).not.toBe(forged);
    expect(await behind.sessions.validate(forged)).toBeNull();
    expect(await dataOf(behind, issued)).toEqual({ mine: true });
  });

  it("is not found elsewhere than in its cookie", async () => {
    const behind = backstage();
    const served = await serve(target, behind, whoami);
    const { token } = await begin(behind, {});
    const headers = {
      ...HTTPS,
      cookie: `sid=${token}; __Secure-sid=${token}; __host-sid=${token}; x__Host-sid=${token}`,
      authorization: `Bearer ${token}`,
      "x-session": token,
      "x-session-token": token,
      "content-type": "application/x-www-form-urlencoded",
    };
    const path = `/?sid=${token}&__Host-sid=${token}&token=${token}`;
    const answer = await served.ask({ path, method: "POST", headers, body: `__Host-sid=${token}` }).answer;
    expect([answer.body.toString(), answer.cookies]).toEqual(["anonymous", []]);
    expect(behind.calls()).toEqual(["create"]);
  });

  it("is ambiguous when it comes twice with different values, and an event says so", async () => {
    const behind = backstage();
    const served = await serve(target, behind, whoami);
    const events: string[] = [];
    behind.sessions.on("ambiguous-cookie", ({ name }) => events.push(name));
    const first = await begin(behind, {});
    const second = await begin(behind, {});
    for (const cookie of [`${first.cookie}; ${second.cookie}`, `${second.cookie}; a=1; ${first.cookie}`]) {
      const answer = await ask(served, "/", { cookie });
      expect([answer.body.toString(), answer.cookies]).toEqual(["anonymous", []]);
    }
    expect(events).toEqual([COOKIE, COOKIE]);
    expect((await ask(served, "/", { cookie: `${first.cookie}; ${first.cookie}` })).body.toString()).not.toBe(
      "anonymous",
    );
  });

  it("several Cookie lines are one list", async () => {
    // Request objects of the Web join them themselves.
    if (target === fetchDirectly) return;
    const behind = backstage();
    const served = await serve(target, behind, whoami);
    const first = await begin(behind, {});
    const second = await begin(behind, {});
    const found = await ask(served, "/", { cookie: ["a=1", first.cookie, "b=2"] });
    expect(found.body.toString()).toMatch(/^[\w-]{22}/);
    const ambiguous = await ask(served, "/", { cookie: [first.cookie, second.cookie] });
    expect(ambiguous.body.toString()).toBe("anonymous");
  });
});

describe.each(TARGETS)("a bearer token on $name", (target) => {
  it("is taken only where switched on, and gets no cookie", async () => {
    const behind = backstage({ bearer: true, cookie: { persistent: true } });
    const served = await serve(target, behind, whoami);
    const { token } = await begin(behind, {});
    const read = await ask(served, "/", { authorization: `bearer ${token}` });
    expect(read.body.toString()).not.toBe("anonymous");
    expect(read.headers.get("vary")).toBe("Authorization, Cookie");
    const written = await ask(served, "/write", { authorization: `Bearer ${token}` });
    expect([written.status, written.cookies]).toEqual([200, []]);
    expect(await dataOf(behind, token)).toEqual({ mine: true });
    for (const authorization of [`Basic ${token}`, `Bearer ${token}, Bearer ${token}`, `Bearer${token}`, token]) {
      expect((await ask(served, "/", { authorization })).body.toString()).toBe("anonymous");
    }
  });

  it("gets no cookie when it logs out, nor when it proves nothing", async () => {
    const behind = backstage({ bearer: true });
    const served = await serve(target, behind, async ({ path, session, respond }) => {
      if (path === "/logout") await session.logout();
      else session.data["mine"] = true;
      respond.send(200, "done");
    });
    const { token } = await begin(behind, {});
    const authorization = `Bearer ${token}`;
    expect((await ask(served, "/logout", { authorization })).cookies).toEqual([]);
    expect(await behind.sessions.validate(token)).toBeNull();
    expect((await ask(served, "/", { authorization })).cookies).toEqual([]);
    expect((await ask(served, "/", { authorization: "Bearer nothing" })).cookies).toEqual([]);
  });
});

describe.each(TARGETS)("the token on $name", (target) => {
  it("is sent in Set-Cookie and nowhere else, and never again while it stays the same", async () => {
    const behind = backstage();
    const served = await serve(target, behind, ({ session, respond }) => {
      session.data["count"] = Number(session.data["count"] ?? 0) + 1;
      respond.send(200, JSON.stringify([session, session.id, session.data]));
    });
    const first = await ask(served, "/");
    const token = tokenIn(first);
    const elsewhere = [...first.headers].filter(([name]) => name !== "set-cookie");
    expect(JSON.stringify(elsewhere) + first.body.toString()).not.toContain(token);
    const second = await ask(served, "/", { cookie: `${COOKIE}=${token}` });
    expect(second.cookies).toEqual([]);
    expect(JSON.stringify([...second.headers]) + second.body.toString()).not.toContain(token);
  });
});
