/** `sealedCookie`: sessions that the client carries. */
import {
  createSessionManager,
  DataTooLargeError,
  generateKey,
  HeadersSentError,
  isTombstone,
  NotSupportedError,
  openSession,
  type SessionManager,
  type StoredRecord,
} from "symbolon";
import { oneTimeTokens } from "symbolon/auth/one-time-tokens";
import { type SealedCookie, sealedCookie } from "symbolon/sealed-cookie";
import { memoryStore } from "symbolon/stores/memory";
import { manualClock } from "symbolon/testing";
import { describe, expect, it } from "vitest";
import { Browser, cluster, loggedIn, type Opened, ORIGIN, USER } from "../support/carried-sessions.ts";
import { listen } from "../support/sessions.ts";

function readData({ session }: Opened): unknown {
  return session.data;
}

function textOf(bytes: number): string {
  return Buffer.alloc(bytes, "x").toString();
}

describe("a session that the client carries", () => {
  it("is opened by another process, with its data, and nothing is stored anywhere", async () => {
    const { process } = cluster();
    const browser = await loggedIn(process());
    await browser.visit(process(), ({ session }) => (session.data["cart"] = ["book"]));
    await browser.visit(process(), ({ session }) => {
      expect([session.userId, session.roles, session.data]).toEqual([USER, ["editor"], { cart: ["book"] }]);
    });
  });

  it("costs a visitor who stores nothing no cookie", async () => {
    const browser = new Browser();
    expect(await browser.visit(cluster().process(), ({ session }) => session.data)).toEqual([]);
  });

  it("sends a cookie when something changed, and only then", async () => {
    const { process, clock } = cluster();
    const sessions = process();
    const browser = await loggedIn(sessions);
    expect(await browser.visit(sessions, readData)).toEqual([]);
    expect(await browser.visit(process(), readData)).toEqual([]);
    expect(await browser.visit(process(), ({ session }) => (session.data["n"] = 1))).toHaveLength(1);
    clock.advance(10 * 60_000);
    expect(await browser.visit(process(), readData)).toHaveLength(1);
  });

  it("shows nothing: no byte of the user or the data is in the cookie", async () => {
    const { process } = cluster();
    const browser = await loggedIn(process());
    await browser.visit(process(), ({ session }) => (session.data["secret"] = "a-secret-value"));
    const cookie = await browser.jar.getCookieString(ORIGIN);
    const bytes = Buffer.from(cookie.split(".").at(-1) ?? "", "base64url").toString("latin1");
    for (const text of [USER, "a-secret-value", "editor"]) {
      expect(cookie).not.toContain(text);
      expect(bytes).not.toContain(text);
    }
  });

  it("times out by the sealed times, whatever else the cookie says", async () => {
    const { process, clock } = cluster();
    const browser = await loggedIn(process());
    clock.advance(3_600_000 - 1);
    expect(await (await browser.copy()).state(process())).toBe(USER);
    clock.advance(1);
    expect(await browser.state(process())).toBe("expired");
  });

  it("opens no more when any character of it was changed", async () => {
    const { process } = cluster();
    const browser = await loggedIn(process());
    const [name = "", value = ""] = (await browser.jar.getCookieString(ORIGIN)).split("=");
    for (let at = 0; at < value.length; at += 7) {
      const other = value[at] === "A" ? "B" : "A";
      const headers = new Headers({ cookie: `${name}=${value.slice(0, at)}${other}${value.slice(at + 1)}` });
      const { session } = await openSession(process(), headers);
      expect(session.state, `character ${at}`).toBe("anonymous");
    }
  });

  it("is not opened with another session's token, nor by a token alone", async () => {
    const { process } = cluster();
    const values = await Promise.all(
      [1, 2].map(async () =>
        (await (await loggedIn(process())).jar.getCookieString(ORIGIN)).slice("__Host-sid=".length),
      ),
    );
    const [one = "", other = ""] = values;
    const token = one.slice(0, 83);
    for (const value of [token + other.slice(83), token, `${token}.`, `${token}.1.`, `${token}.9.${"A".repeat(99)}`]) {
      const { session } = await openSession(process(), new Headers({ cookie: `__Host-sid=${value}` }));
      expect(session.state).toBe("anonymous");
    }
  });

  it("keeps what parallel requests to one process change", async () => {
    const { process } = cluster();
    const sessions = process();
    const browser = await loggedIn(sessions);
    const requests = await Promise.all([browser.open(sessions), browser.open(sessions)]);
    requests[0].session.data["a"] = 1;
    requests[1].session.data["b"] = 2;
    for (const request of requests) await browser.take(await request.commit());
    await browser.visit(process(), ({ session }) => expect(session.data).toEqual({ a: 1, b: 2 }));
  });

  it("forgets nothing of a request that is older than another's answer, in one process", async () => {
    const { process } = cluster();
    const sessions = process();
    const browser = await loggedIn(sessions);
    const before = await browser.copy();
    await browser.visit(sessions, ({ session }) => (session.data["n"] = 1));
    const cookies = await before.visit(sessions, ({ session }) => expect(session.data).toEqual({ n: 1 }));
    expect(cookies).toHaveLength(1);
  });

  it("survives a change of keys", async () => {
    const clock = manualClock();
    const [old, next] = [generateKey(), generateKey()];
    const shared = { clock, pruneEvery: false, indexKey: old } as const;
    const before = createSessionManager({ ...shared, store: sealedCookie(), keys: [old] });
    const after = createSessionManager({ ...shared, store: sealedCookie(), keys: [next, old] });
    const browser = await loggedIn(before);
    await browser.visit(after, ({ session }) => (session.data["n"] = 1));
    expect(await browser.state(after)).toBe(USER);
  });
});

describe("a process that remembers a session", () => {
  const call = { now: 0, signal: new AbortController().signal };
  const place = { space: "space", route: 1, lookup: "lookup", owner: null, tenant: null };
  const times = { createdAt: 0, touchedAt: 0, deadline: 1000 };
  const record = { ...place, ...times, version: 1, envelope: Buffer.from("envelope"), data: null };
  const change = { touchedAt: 1, deadline: 1001, envelope: Buffer.from("changed") };

  async function presented(store: SealedCookie): Promise<StoredRecord> {
    await store.create(record, call);
    const found = await store.present(record, store.pack(record), call);
    if (found === null || isTombstone(found)) throw new Error("The record is gone.");
    return found;
  }

  it("does not forget its end for a request that was opened before", async () => {
    const store = sealedCookie();
    const opened = await presented(store);
    await store.delete(record, { reason: "logout", at: 1 }, call);
    store.keep(opened);
    expect(await store.read(record, call)).toMatchObject({ reason: "logout" });
    expect(await store.update(record, 1, change, call)).toBe("missing");
  });

  it("does not forget a newer version for a request that was opened before", async () => {
    const store = sealedCookie();
    const opened = await presented(store);
    expect(await store.update(record, 1, change, call)).toBe("updated");
    store.keep(opened);
    expect(await store.read(record, call)).toMatchObject({ version: 2 });
  });

  it("is ended by one of those who end it at once", async () => {
    const store = sealedCookie({ revocations: memoryStore() });
    await presented(store);
    const reasons = ["one", "two", "three"];
    const ended = await Promise.all(reasons.map(async (reason) => store.delete(record, { reason, at: 1 }, call)));
    expect(ended.filter(Boolean)).toHaveLength(1);
  });
});

describe("a record that one cookie cannot hold", () => {
  it("goes into several, each small enough for browsers, and comes back whole", async () => {
    const { process } = cluster();
    const browser = await loggedIn(process());
    const cookies = await browser.visit(process(), ({ session }) => (session.data["text"] = textOf(6000)));
    expect(cookies.map((cookie) => cookie.split("=")[0])).toEqual(["__Host-sid", "__Host-sid.1", "__Host-sid.2"]);
    for (const cookie of cookies) {
      expect(cookie.split(";")[0]!.length).toBeLessThanOrEqual(4096);
      expect(cookie).toMatch(/; Path=\/; Secure; HttpOnly; SameSite=Lax$/);
    }
    await browser.visit(process(), ({ session }) => expect(session.data["text"]).toHaveLength(6000));
  });

  it("deletes those it needs no more, and all of them at logout", async () => {
    const { process } = cluster();
    const browser = await loggedIn(process());
    await browser.visit(process(), ({ session }) => (session.data["text"] = textOf(6000)));
    await browser.visit(process(), ({ session }) => (session.data["text"] = textOf(3000)));
    expect(await browser.names()).toEqual(["__Host-sid", "__Host-sid.1"]);
    await browser.visit(process(), async ({ session }) => session.logout());
    expect(await browser.names()).toEqual([]);
  });

  it("is no session when one of its cookies is missing or from another time", async () => {
    const { process } = cluster();
    const browser = await loggedIn(process());
    await browser.visit(process(), ({ session }) => (session.data["text"] = textOf(6000)));
    const old = await browser.copy();
    await browser.visit(process(), ({ session }) => (session.data["text"] = textOf(5999)));
    const pairs = (await browser.jar.getCookieString(ORIGIN)).split("; ");
    const olds = (await old.jar.getCookieString(ORIGIN)).split("; ");
    for (const cookie of [pairs.slice(0, 2).join("; "), [pairs[0], olds[1], pairs[2]].join("; "), olds[0]!]) {
      expect((await openSession(process(), new Headers({ cookie }))).session.state).toBe("anonymous");
    }
  });

  it("is refused when three cookies do not hold it, and what was there stays", async () => {
    const { process } = cluster();
    const sessions = process();
    const browser = await loggedIn(sessions);
    const failures = listen(sessions);
    const opened = await browser.open(sessions);
    opened.session.data["text"] = textOf(9000);
    await expect(opened.commit()).rejects.toThrow(DataTooLargeError);
    expect(failures).toEqual([]);
    await browser.visit(sessions, ({ session }) => expect(session.data).toEqual({}));
    expect(await browser.state(process())).toBe(USER);
  });
});

describe("logout, without a store for revocations", () => {
  it("deletes the cookie, and in the process that did it a copy is dead", async () => {
    const { process } = cluster();
    const sessions = process();
    const browser = await loggedIn(sessions);
    const copy = await browser.copy();
    await browser.visit(sessions, async ({ session }) => session.logout());
    expect(await browser.names()).toEqual([]);
    expect(await copy.state(sessions)).toBe("logout");
  });

  it("is not known to other processes, where a copy lives until it times out: the price that docs state", async () => {
    const { process, clock } = cluster();
    const browser = await loggedIn(process());
    const copy = await browser.copy();
    await browser.visit(process(), async ({ session }) => session.logout());
    expect(await (await copy.copy()).state(process())).toBe(USER);
    clock.advance(3_600_000);
    expect(await copy.state(process())).toBe("expired");
  });

  it("revokeAll is refused, because it would do nothing", async () => {
    await expect(cluster().process().revokeAll(USER)).rejects.toThrow(NotSupportedError);
  });
});

describe("what needs a store", () => {
  it.each<[string, (sessions: SessionManager) => Promise<unknown>]>([
    ["create", (sessions) => sessions.create({ userId: USER })],
    ["validate", (sessions) => sessions.validate("x")],
    ["inspect", (sessions) => sessions.inspect("x")],
    ["refresh", (sessions) => sessions.refresh("x")],
    ["revokeToken", (sessions) => sessions.revokeToken("x")],
    ["get", (sessions) => sessions.get(USER, "x".repeat(24))],
    ["update", (sessions) => sessions.update(USER, "x".repeat(24), {})],
    ["revoke", (sessions) => sessions.revoke(USER, "x".repeat(24))],
    ["list", (sessions) => sessions.list({ userId: USER })],
    ["count", (sessions) => sessions.count({ userId: USER })],
    ["revokeEverything", (sessions) => sessions.revokeEverything()],
  ])("is refused, and says so: %s", async (_, use) => {
    await expect(use(cluster().process())).rejects.toThrow(NotSupportedError);
  });

  it("is refused at start: limits, bearer tokens and one-time tokens", () => {
    expect(() => cluster().process({ limits: { perUser: 3 } })).toThrow(/limits/);
    expect(() => cluster().process({ bearer: true })).toThrow(/bearer/);
    expect(() => oneTimeTokens(cluster().process())).toThrow(NotSupportedError);
  });

  it("and a token alone is not handed out", async () => {
    const { process } = cluster();
    const opened = await (await loggedIn(process())).open(process());
    expect(() => opened.session.takeToken()).toThrow(NotSupportedError);
  });
});

describe("after the headers have left", () => {
  it("a change is refused, because the client could not be told, and use is not noted", async () => {
    const { process, clock } = cluster();
    const sessions = process();
    const browser = await loggedIn(sessions);
    clock.advance(10 * 60_000);
    const opened = await browser.open(sessions);
    opened.cookies();
    expect(opened.needsLateCommit()).toBe(false);
    opened.session.data["late"] = true;
    await expect(opened.commitLate()).rejects.toThrow(HeadersSentError);
  });
});
