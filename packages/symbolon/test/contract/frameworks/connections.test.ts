import { describe, expect, it, onTestFinished } from "vitest";
import type { Handler, Target } from "./support/app.ts";
import { fetchDirectly, fetchOverSockets } from "./support/fetch-targets.ts";
import { ask, backstage, begin, COOKIE, listenToWarnings, type Options, serve } from "./support/stage.ts";
import { TARGETS } from "./support/targets.ts";

const app: Handler = ({ path, session, respond }) => {
  if (path === "/write") session.data["mine"] = true;
  respond.send(200, session.id === null ? "nobody" : "somebody");
};

/** Whether a session cookie is read and sent with these options and this header. */
async function isTrusted(target: Target, options: Options, proto?: string | string[]): Promise<boolean> {
  const behind = backstage(options);
  const served = await serve(target, behind, app);
  const { cookie } = await begin(behind, {});
  const headers = proto === undefined ? {} : { "X-Forwarded-Proto": proto };
  const read = await served.ask({ path: "/", headers: { ...headers, cookie } }).answer;
  const written = await served.ask({ path: "/write", headers }).answer;
  const wasRead = read.body.toString() === "somebody";
  expect(written.cookies).toHaveLength(wasRead ? 1 : 0);
  expect(behind.calls()).toEqual(wasRead ? ["create", "read", "create"] : ["create"]);
  return wasRead;
}

describe.each(TARGETS)("plain http on $name", (target) => {
  it("neither reads nor sends nor stores, and says so in events and in one warning", async () => {
    const { warnings, settle } = listenToWarnings();
    const behind = backstage({ trustProxy: false });
    const served = await serve(target, behind, app);
    const reasons: string[] = [];
    behind.sessions.on("cookie-withheld", ({ reason }) => reasons.push(reason));
    const { cookie } = await begin(behind, {});
    for (const path of ["/", "/write", "/write"]) {
      const answer = await ask(served, path, { cookie });
      expect([answer.status, answer.body.toString(), answer.cookies]).toEqual([200, "nobody", []]);
    }
    await settle();
    expect(behind.calls()).toEqual(["create"]);
    expect(reasons).toEqual(["insecure-connection", "insecure-connection"]);
    expect(warnings.filter((warning) => warning.includes("trustProxy"))).toHaveLength(1);
  });

  it("is https when a trusted proxy says exactly that", async () => {
    expect(await isTrusted(target, { trustProxy: true }, "https")).toBe(true);
    for (const proto of [undefined, "http", "HTTPS, https", "https, http", "https,https", "wss", ""]) {
      expect(await isTrusted(target, { trustProxy: true }, proto)).toBe(false);
    }
    expect(await isTrusted(target, { trustProxy: true }, ["https", "https"])).toBe(false);
  });

  it("believes the proxies of a list, where the peer's address is known", async () => {
    const knowsPeer = target !== fetchDirectly && target !== fetchOverSockets;
    for (const list of [["127.0.0.1"], ["10.0.0.0/8", "127.0.0.0/8"], ["::1", "127.0.0.1/32"]]) {
      expect(await isTrusted(target, { trustProxy: list }, "https")).toBe(knowsPeer);
    }
    for (const list of [[], ["10.0.0.0/8"], ["127.0.0.2"], ["::1"], ["128.0.0.0/1"]]) {
      expect(await isTrusted(target, { trustProxy: list }, "https")).toBe(false);
    }
    expect(await isTrusted(target, { trustProxy: ["127.0.0.1"] })).toBe(false);
  });

  it.each(["localhost", "10.0.0.0/33", "10.0.0.0/", "10.0.0.0/8/8", "::1/129", "1.2.3", "10.0.0.0/-1", ""])(
    "refuses %j in the list of proxies at start",
    async (entry) => {
      // Fetch handlers know no peers, so the list is of no use to them.
      if (target === fetchDirectly || target === fetchOverSockets) return;
      await expect((async () => serve(target, backstage({ trustProxy: [entry] }), app))()).rejects.toMatchObject({
        code: "ERR_OPTIONS_INVALID",
      });
    },
  );

  it("carries a short-named cookie without Secure in development on this machine, and warns", async () => {
    const { warnings, settle } = listenToWarnings();
    const behind = backstage({ development: true, trustProxy: false });
    await settle();
    expect(warnings.filter((warning) => warning.startsWith("development: true"))).toHaveLength(1);
    const served = await serve(target, behind, app);
    const host = target === fetchDirectly ? "http://localhost:8080" : "";
    const written = await served.ask({ path: `${host}/write` }).answer;
    expect(written.cookies).toEqual([expect.stringMatching(/^sid=s1_[\w-]{80}; Path=\/; HttpOnly; SameSite=Lax$/)]);
    const cookie = written.cookies[0]?.split(";")[0] ?? "";
    expect((await served.ask({ path: `${host}/`, headers: { cookie } }).answer).body.toString()).toBe("somebody");
    const prefixed = cookie.replace("sid=", `${COOKIE}=`);
    expect((await served.ask({ path: `${host}/`, headers: { cookie: prefixed } }).answer).body.toString()).toBe(
      "nobody",
    );
  });
});

describe("development mode", () => {
  it("is refused in production", () => {
    const before = process.env["NODE_ENV"];
    onTestFinished(() => {
      process.env["NODE_ENV"] = before;
    });
    process.env["NODE_ENV"] = "production";
    expect(() => backstage({ development: true })).toThrow(/NODE_ENV/);
  });

  it.each([
    ["http://localhost/", true],
    ["http://127.0.0.1:3000/", true],
    ["http://127.8.8.8/", true],
    ["http://[::1]/", true],
    ["http://app.example/", false],
    ["http://127.app.example/", false],
    ["http://127.0.0.1.app.example/", false],
    ["http://localhost.app.example/", false],
    ["http://192.168.1.1/", false],
  ])("takes a request to %s for one of this machine: %s", async (origin, isLoopback) => {
    const behind = backstage({ development: true });
    const served = await serve(fetchDirectly, behind, app);
    const reasons: string[] = [];
    behind.sessions.on("cookie-withheld", ({ reason }) => reasons.push(reason));
    const { cookies } = await served.ask({ path: `${origin}write` }).answer;
    expect(cookies).toHaveLength(isLoopback ? 1 : 0);
    expect(reasons).toEqual(isLoopback ? [] : ["not-loopback"]);
  });
});
