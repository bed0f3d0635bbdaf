/** What sanic-cookies' sessions do, without their flaws; docs/coming-from.md names these tests. */
import { createSessionManager, generateKey, type LoginOptions, openSession, type SessionManager } from "symbolon";
import { requireLogin, sessionOf, withSession } from "symbolon/frameworks/fetch";
import { memoryStore } from "symbolon/stores/memory";
import { manualClock } from "symbolon/testing";
import { mirrored } from "symbolon/stores/mirrored";
import { beforeEach, describe, expect, it } from "vitest";

interface Data {
  n?: number;
  cart?: { items: string[] };
}

const URL_OF_APP = "https://app.example/";

function requestWith(cookie: string | null): Request {
  return new Request(URL_OF_APP, cookie === null ? {} : { headers: { Cookie: cookie } });
}

function tokenOf(cookie: string | null): string {
  return cookie?.split("=")[1] ?? "";
}

function cookieFrom(response: Response): string | null {
  return response.headers.getSetCookie()[0]?.split(";")[0] ?? null;
}

function sendToLogin(request: Request): Response {
  return Response.redirect(new URL("/login", request.url), 303);
}

describe("coming from sanic-cookies", () => {
  let sessions: SessionManager<Data>;

  beforeEach(() => {
    const clock = manualClock();
    sessions = createSessionManager({ store: memoryStore(), keys: [generateKey()], pruneEvery: false, clock });
  });

  it("stores nothing and sets no cookie for a session nobody wrote to", async () => {
    const handler = withSession(sessions, (_request, session) => new Response(String(session.data.n)));
    const response = await handler(requestWith(null));
    expect(response.headers.getSetCookie()).toEqual([]);
  });

  it("sets the cookie with the first write, and none with a read", async () => {
    const write = withSession(sessions, (_request, session) => {
      session.data.n = 1;
      return new Response();
    });
    const read = withSession(sessions, (_request, session) => new Response(String(session.data.n)));
    const cookie = cookieFrom(await write(requestWith(null)));
    const response = await read(requestWith(cookie));
    expect(await response.text()).toBe("1");
    expect(response.headers.getSetCookie()).toEqual([]);
  });

  it("saves a nested change without a flag", async () => {
    const made = await sessions.create({ data: { cart: { items: [] } } });
    const session = await sessions.validate(made.token);
    expect(session?.isModified).toBe(false);
    session?.data.cart?.items.push("tea");
    expect(session?.isModified).toBe(true);
    expect(await session?.save()).toBe("saved");
    expect(session?.isModified).toBe(false);
    expect((await sessions.validate(made.token))?.data.cart?.items).toEqual(["tea"]);
  });

  it("logs out: the record is gone, the cookie deleted with its own attributes, a copy is dead", async () => {
    const made = await sessions.create({ userId: "ann" });
    const logout = withSession(sessions, async (_request, session) => {
      await session.logout();
      return new Response();
    });
    const response = await logout(requestWith(`__Host-sid=${made.token}`));
    const [cookie] = response.headers.getSetCookie();
    expect(cookie).toMatch(/^__Host-sid=;/);
    for (const attribute of ["Max-Age=0", "Path=/", "Secure", "HttpOnly", "SameSite=Lax"])
      expect(cookie).toContain(attribute);
    expect(await sessions.validate(made.token)).toBeNull();
  });

  it("knows the current user of a request", async () => {
    const made = await sessions.create({ userId: "ann" });
    const whoami = withSession(sessions, (request) => new Response(sessionOf(request, sessions).userId));
    const known = await whoami(requestWith(`__Host-sid=${made.token}`));
    expect(await known.text()).toBe("ann");
    const unknown = await whoami(requestWith(null));
    expect(await unknown.text()).toBe("");
  });

  it("keeps several named sessions on one application apart", async () => {
    const cookie = { name: "__Host-other" };
    const others = createSessionManager<Data>({
      store: memoryStore(),
      keys: [generateKey()],
      namespace: "others",
      cookie,
      pruneEvery: false,
    });
    const both = withSession(sessions, (outer, session) =>
      withSession(others, (inner, other) => {
        session.data.n = 1;
        other.data.n = 2;
        return new Response(String(sessionOf(inner, others) === other));
      })(outer),
    );
    const response = await both(requestWith(null));
    expect(await response.text()).toBe("true");
    const names = response.headers.getSetCookie().map((value) => value.split("=")[0]);
    expect(new Set(names)).toEqual(new Set(["__Host-other", "__Host-sid"]));
    expect(names).toHaveLength(2);
  });

  it("writes to all stores and reads from the first", async () => {
    const primary = memoryStore();
    const copy = memoryStore();
    const keys = [generateKey()];
    const master = createSessionManager<Data>({ store: mirrored(primary, [copy]), keys, pruneEvery: false });
    const replica = createSessionManager<Data>({ store: copy, keys, pruneEvery: false });
    const made = await master.create({ userId: "ann", data: { n: 1 } });
    const session = await master.validate(made.token);
    await session?.update((data) => void (data.n = 2));
    expect((await replica.validate(made.token))?.data.n).toBe(2);
    await master.revoke("ann", made.id);
    expect(await replica.validate(made.token)).toBeNull();
  });

  it("never adopts a session id the client chose", async () => {
    const handler = withSession(sessions, (_request, session) => {
      session.data.n = 1;
      return new Response();
    });
    const foreign = createSessionManager({ store: memoryStore(), keys: [generateKey()], pruneEvery: false });
    const planted = (await foreign.create()).token;
    const cookie = cookieFrom(await handler(requestWith(`__Host-sid=${planted}`)));
    expect(cookie).toMatch(/^__Host-sid=s1_/);
    expect(cookie).not.toContain(planted);
    expect(await sessions.validate(planted)).toBeNull();
  });

  it("lets parallel requests of one session all finish, with all their writes", async () => {
    const made = await sessions.create({ data: {} });
    const tasks = Array.from({ length: 30 }, async () => {
      const session = await sessions.validate(made.token);
      await session?.update((data) => void (data.n = (data.n ?? 0) + 1));
    });
    await Promise.all(tasks);
    expect((await sessions.validate(made.token))?.data.n).toBe(30);
  });

  it("logs in under a new session and a new token; the old one is dead, and its data dropped unless it is named", async () => {
    const before = await sessions.create({ data: { n: 1, cart: { items: ["tea"] } } });
    const login = withSession(sessions, async (_request, session) => {
      await session.login("ann", { carry: ["cart"] });
      return new Response();
    });
    const token = tokenOf(cookieFrom(await login(requestWith(`__Host-sid=${before.token}`))));
    expect(token).not.toBe(before.token);
    expect(await sessions.validate(before.token)).toBeNull();
    const after = await sessions.validate(token);
    expect([after?.userId, after?.id === before.id]).toEqual(["ann", false]);
    expect(after?.data).toEqual({ cart: { items: ["tea"] } });
    const { session } = await openSession(sessions, new Headers());
    for (const nobody of ["", null, undefined, 0, false]) {
      await expect(session.login(nobody as string)).rejects.toMatchObject({ code: "ERR_OPTIONS_INVALID" });
    }
  });

  it("logs in for a duration of its own, and with a cookie that outlives the browser only where that is asked for", async () => {
    const cookieOfLogin = async (options: LoginOptions): Promise<string> => {
      const login = withSession(sessions, async (_request, session) => {
        await session.login("ann", options);
        return new Response();
      });
      return (await login(requestWith(null))).headers.getSetCookie()[0] ?? "";
    };
    expect(await cookieOfLogin({})).not.toContain("Max-Age");
    expect(await cookieOfLogin({ remember: true })).toContain("Max-Age=1209600");
    const short = await cookieOfLogin({ remember: true, lifetime: { absolute: "10m" } });
    expect(short).toContain("Max-Age=600");
    // The server ends it then, too.
    const session = await sessions.validate(tokenOf(short.split(";")[0] ?? ""));
    expect((session?.expiresAt ?? 0) - (session?.createdAt ?? 0)).toBe(600_000);
  });

  it("logs out users only, where a visitor is to keep what there is", async () => {
    const logout = withSession(sessions, async (_request, session) => {
      if (session.userId !== null) await session.logout();
      return new Response();
    });
    const visitor = await sessions.create({ data: { n: 1 } });
    const user = await sessions.create({ userId: "ann" });
    for (const { token } of [visitor, user]) await logout(requestWith(`__Host-sid=${token}`));
    expect((await sessions.validate(visitor.token))?.data.n).toBe(1);
    expect(await sessions.validate(user.token)).toBeNull();
  });

  it("lets in who is logged in and nobody else, with an answer of one's own, and OPTIONS always", async () => {
    const plain = withSession(
      sessions,
      requireLogin()((_request, session) => new Response(session.userId)),
    );
    const custom = withSession(
      sessions,
      requireLogin({ onRefused: sendToLogin })(async (_request, session) => new Response(session.userId)),
    );
    const user = await sessions.create({ userId: "ann" });
    const visitor = await sessions.create({ data: { n: 1 } });
    const pending = await sessions.create({ userId: "ann", pending: "second-factor" });
    for (const handler of [plain, custom]) {
      const seen = await handler(requestWith(`__Host-sid=${user.token}`));
      expect([seen.status, await seen.text()]).toEqual([200, "ann"]);
      expect((await handler(new Request(URL_OF_APP, { method: "OPTIONS" }))).status).toBe(200);
    }
    await sessions.revokeToken(user.token);
    const refused = [null, ...[user, visitor, pending].map(({ token }) => `__Host-sid=${token}`)];
    for (const cookie of refused) {
      expect((await plain(requestWith(cookie))).status).toBe(401);
      const answer = await custom(requestWith(cookie));
      expect([answer.status, answer.headers.get("Location")]).toEqual([303, `${URL_OF_APP}login`]);
    }
  });

  it("reads a session anew under its lock, saves what the block changed, and nothing of a block that fails", async () => {
    const made = await sessions.create({ data: { n: 1 } });
    const [one, other] = [await sessions.validate(made.token), await sessions.validate(made.token)];
    await other?.update((data) => void (data.n = 5));
    await one?.lock(() => void (one.data.n = (one.data.n ?? 0) + 1));
    expect((await sessions.validate(made.token))?.data.n).toBe(6);
    const failing = one?.lock(() => {
      one.data.n = 100;
      throw new Error("broken");
    });
    await expect(failing).rejects.toThrow("broken");
    expect(one?.data.n).toBe(6);
    expect((await sessions.validate(made.token))?.data.n).toBe(6);
    // What was changed before is not dropped.
    if (other !== null) other.data.cart = { items: ["tea"] };
    await other?.lock(() => void (other.data.n = 7));
    expect((await sessions.validate(made.token))?.data).toEqual({ n: 7, cart: { items: ["tea"] } });
  });

  it("lets all who wait for a session's lock have it, one after the other, and tells who will not wait", async () => {
    const made = await sessions.create({ data: { n: 0 } });
    const served: number[] = [];
    const waiting = Array.from({ length: 10 }, async (_, index) => {
      const session = await sessions.validate(made.token);
      await session?.lock(async () => {
        const n = session.data.n ?? 0;
        await new Promise((resolve) => setImmediate(resolve));
        session.data.n = n + 1;
        served.push(index);
      });
    });
    const hasty = (async () => (await sessions.validate(made.token))?.lock({ wait: 0 }, () => "not locked"))();
    await expect(hasty).rejects.toMatchObject({ code: "ERR_LOCK_TIMEOUT", status: 503 });
    await Promise.all(waiting);
    expect(served).toEqual(served.map((_, index) => index));
    const session = await sessions.validate(made.token);
    expect(session?.data.n).toBe(10);
    expect(await session?.lock({ wait: 0 }, () => "not locked")).toBe("not locked");
  });

  it("logs a user in under the session's lock, which waits for nothing then", async () => {
    const made = await sessions.create({ data: { n: 1 } });
    const login = withSession(
      sessions,
      async (_request, session) => {
        await session.lock({ wait: 0 }, () => session.login("ann", { carry: ["n"] }));
        return new Response(session.userId);
      },
      { lock: true },
    );
    const response = await login(requestWith(`__Host-sid=${made.token}`));
    expect(await response.text()).toBe("ann");
    expect((await sessions.validate(tokenOf(cookieFrom(response))))?.data.n).toBe(1);
  });
});
