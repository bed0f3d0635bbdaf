/** A token that comes again once its client must have a later one: the session ends for both (RFC 9700 4.14.2, R-134). */
import { generateKey, isTombstone, type SessionManager } from "symbolon";
import { nameDevice } from "symbolon/auth/device-name";
import { memoryStore } from "symbolon/stores/memory";
import { type ManualClock, manualClock } from "symbolon/testing";
import { describe, expect, it } from "vitest";
import { wait } from "../support/delays.ts";
import { found, listen, manager, type Options } from "../support/sessions.ts";
import { type FullStore, type Intercepted, intercept } from "../support/stores.ts";
import { next, request, respond, visit } from "../support/visits.ts";

const USER = "user-1";
const GRACE = 10_000;
const MINUTE = 60_000;
const HOUR = 60 * MINUTE;
const NO_COOKIE = { token: null, maxAge: null };

interface World {
  readonly clock: ManualClock;
  /** Two processes on one store. */
  readonly sessions: SessionManager;
  readonly elsewhere: SessionManager;
  /** Every token that the session has had, the present one last: it has arrived, and all grace is over. */
  readonly tokens: readonly string[];
  readonly heard: { readonly type: string }[];
  /** Stands between the processes and the store. */
  around: (call: Intercepted) => unknown;
}

/** A session that was rotated so many times. */
async function world(times = 1, options: Options = {}, about: object = {}): Promise<World> {
  const clock = manualClock();
  const inner = memoryStore();
  const stage = { around: (call: Intercepted): unknown => call.proceed() };
  const shared = { clock, keys: [generateKey()], ...options };
  const store = intercept(inner, (call) => stage.around(call));
  const [sessions, elsewhere] = [manager({ ...shared, store }), manager({ ...shared, store })];
  const tokens = [(await sessions.create({ userId: USER, data: { n: 1 }, ...about })).token];
  for (let rotated = 0; rotated < times; rotated++) {
    clock.advance(15 * MINUTE);
    tokens.push(await next(sessions, tokens.at(-1) ?? ""));
    await visit(sessions, tokens.at(-1) ?? "");
    clock.advance(GRACE);
  }
  const heard: World["heard"] = [];
  for (const process of [sessions, elsewhere]) process.on("*", (event) => heard.push(event));
  return Object.assign(stage, { clock, sessions, elsewhere, tokens, heard });
}

const from = (ip: string) => ({ secure: true, loopback: false, ip });

/** Lets nothing be ended any more. */
function failToEnd(stage: World): void {
  stage.around = (call) => {
    if (call.method === "delete") throw new Error("down");
    return call.proceed();
  };
}

async function tombstonesOf(store: FullStore): Promise<string[]> {
  const call = { now: 0, signal: new AbortController().signal };
  const { entries } = await store.scan({ cursor: null, limit: 100 }, call);
  return entries.map((entry) => (isTombstone(entry) ? entry.reason : "alive"));
}

describe("a token whose successor was presented longer ago than the grace", () => {
  it.each([0, 1, 2, 3, 4])("ends the session for all, of whatever age it is (%i of 5)", async (which) => {
    const { sessions, elsewhere, tokens, heard } = await world(5);
    expect(await visit(sessions, tokens[which] ?? "")).toEqual({ found: "reuse-detected", ...NO_COOKIE });
    expect(heard.map(({ type }) => type)).toEqual(["reuse-detected"]);
    for (const process of [sessions, elsewhere]) {
      for (const token of tokens) {
        expect(await visit(process, token)).toEqual({ found: "ended: reuse-detected", ...NO_COOKIE });
      }
    }
    expect(heard).toHaveLength(1);
    expect(await sessions.count({ userId: USER })).toBe(0);
  });

  it("says so in the refusal, and once it has ended, when", async () => {
    const { clock, sessions, tokens } = await world();
    const at = clock.now();
    const [old = "", present = ""] = tokens;
    const replayed = await request(sessions, old);
    expect([replayed.refusal, replayed.session.state, replayed.session.data]).toEqual([
      { reason: "reuse-detected" },
      "anonymous",
      {},
    ]);
    clock.advance(MINUTE);
    for (const token of [old, present]) {
      const ended = { reason: "reuse-detected", at };
      expect((await request(sessions, token)).refusal).toEqual({ reason: "ended", ended });
    }
  });

  it("leaves the reason in the store", async () => {
    const store = memoryStore();
    const clock = manualClock();
    const sessions = manager({ store, clock });
    const { token } = await sessions.create({ userId: USER });
    await sessions.create({ userId: USER });
    await sessions.refresh(token);
    clock.advance(GRACE);
    await sessions.validate(token);
    expect((await tombstonesOf(store)).toSorted()).toEqual(["alive", "reuse-detected"]);
  });

  it("leaves the user's other sessions alone, and those of others", async () => {
    const { sessions, tokens } = await world();
    const [own, others] = [await sessions.create({ userId: USER }), await sessions.create({ userId: "user-2" })];
    await visit(sessions, tokens[0] ?? "");
    expect(await sessions.count({ userId: USER })).toBe(1);
    expect((await visit(sessions, own.token)).found).toBe(USER);
    expect((await visit(sessions, others.token)).found).toBe("user-2");
  });

  it("raises one event although twenty come in parallel to two processes", async () => {
    const stage = await world();
    const { sessions, elsewhere, tokens, heard } = stage;
    const old = tokens[0] ?? "";
    let reads = 0;
    stage.around = async (call) => {
      if (call.method === "read") reads++;
      await wait(2);
      return call.proceed();
    };
    const answers = await Promise.all(
      Array.from({ length: 20 }, async (_, at) => visit(at % 2 === 0 ? sessions : elsewhere, old)),
    );
    for (const answer of answers) {
      expect(answer).toEqual({ found: "reuse-detected", ...NO_COOKIE });
    }
    expect(heard.map(({ type }) => type)).toEqual(["reuse-detected"]);
    // They were at it together: none had to be told that another had ended it before.
    expect(reads).toBe(20);
  });

  it("tells who presented it, and who was given the present one, by device and network", async () => {
    const clock = manualClock();
    const sessions = manager({ clock, nameDevice });
    const heard = listen(sessions);
    const firefox = "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0";
    const { token, id } = await sessions.create({ userId: USER });
    clock.advance(15 * MINUTE);
    const replacedAt = clock.now();
    const { token: second } = await respond(
      await request(sessions, token, { "user-agent": firefox }, from("203.0.113.77")),
    );
    await respond(await request(sessions, second ?? "", { "user-agent": firefox }, from("203.0.113.77")));
    clock.advance(GRACE);
    await respond(await request(sessions, token, { "user-agent": "curl/8.5.0" }, from("2001:db8:1:2:3::4")));
    expect(heard.at(-1)).toEqual({
      type: "reuse-detected",
      at: clock.now(),
      id,
      userId: USER,
      presented: { name: "curl", network: "2001:db8:1:2::/64" },
      holder: { name: "Firefox on Linux", network: "203.0.113.0/24" },
      replacedAt,
    });
  });

  it("is noticed whoever is asked, and everywhere answered with nothing", async () => {
    const everywhere: ((sessions: SessionManager, token: string) => Promise<unknown>)[] = [
      (sessions, token) => sessions.validate(token),
      (sessions, token) => sessions.refresh(token),
      (sessions, token) => sessions.revokeToken(token),
      async (sessions, token) => {
        const bearer = await request(sessions, "", { cookie: "", authorization: `Bearer ${token}` });
        return bearer.session.id;
      },
    ];
    for (const ask of everywhere) {
      const { sessions, tokens, heard } = await world(1, { bearer: true });
      expect(await ask(sessions, tokens[0] ?? "")).toBeNull();
      expect(heard.map(({ type }) => type)).toEqual(["reuse-detected"]);
      expect(await found(sessions, tokens[1] ?? "")).toBe("ended: reuse-detected");
    }
  });

  it("lets a request that is under way write nothing more, and send nothing", async () => {
    const { sessions, tokens } = await world();
    const slow = await request(sessions, tokens[1] ?? "");
    slow.session.data["n"] = 2;
    await visit(sessions, tokens[0] ?? "");
    expect(await slow.session.save()).toBe("gone");
    expect(await respond(slow)).toEqual(NO_COOKIE);
  });

  it("lets its client begin anew, as a visitor and with a login", async () => {
    const { sessions, tokens } = await world();
    const { token: visitor } = await visit(sessions, tokens[0] ?? "", ({ data }) => void (data["cart"] = 1));
    expect((await visit(sessions, visitor ?? "")).found).toBe("anonymous");
    const { token: again } = await visit(sessions, tokens[0] ?? "", (session) => session.login(USER));
    expect((await visit(sessions, again ?? "")).found).toBe(USER);
  });
});

describe("what is no reuse", () => {
  it("is an old token of a session that has ended or expired: no event, and the reason as it was", async () => {
    const ended = await world(2);
    await visit(ended.sessions, ended.tokens[2] ?? "", (session) => session.logout());
    ended.heard.length = 0;
    expect((await visit(ended.sessions, ended.tokens[0] ?? "")).found).toBe("ended: logout");
    expect(ended.heard).toEqual([]);
    const expired = await world(2);
    expired.clock.advance(HOUR);
    expect((await visit(expired.sessions, expired.tokens[0] ?? "")).found).toBe("expired");
    expect(expired.heard.map(({ type }) => type)).toEqual(["expired"]);
  });

  it("is a token that the storage has forgotten, in a session that was never rotated", async () => {
    const stage = await world(0);
    stage.clock.advance(15 * MINUTE);
    stage.around = (call) => (call.method === "update" ? "updated" : call.proceed());
    const lost = await next(stage.sessions, stage.tokens[0] ?? "");
    stage.around = (call) => call.proceed();
    expect(await visit(stage.sessions, lost)).toEqual({ found: "wrong-secret", ...NO_COOKIE });
    expect(stage.heard.map(({ type }) => type)).toEqual(["rotated"]);
    expect((await visit(stage.sessions, stage.tokens[0] ?? "")).found).toBe(USER);
  });

  it("is a token of another session, whatever it is called", async () => {
    const { sessions, tokens, heard } = await world(2);
    const other = await sessions.create({ userId: USER });
    heard.length = 0;
    const bytes = Buffer.from((tokens[2] ?? "").slice(3), "base64url");
    const foreign = Buffer.from(other.token.slice(3), "base64url");
    // The handle of one, the secret and the tag of the other.
    const mixed = `s1_${Buffer.concat([bytes.subarray(0, 21), foreign.subarray(21)]).toString("base64url")}`;
    expect((await visit(sessions, mixed)).found).toBe("forged");
    expect((await visit(sessions, tokens[2] ?? "")).found).toBe(USER);
    expect(heard).toEqual([]);
  });
});

describe("a reuse whose session cannot be ended, because the store fails", () => {
  it("fails the request; nothing is opened, and the next one ends the session", async () => {
    const stage = await world();
    const { sessions, tokens, heard } = stage;
    failToEnd(stage);
    const unavailable = { code: "ERR_STORE_UNAVAILABLE", status: 503 };
    await expect(request(sessions, tokens[0] ?? "")).rejects.toMatchObject(unavailable);
    await expect(sessions.validate(tokens[0] ?? "")).rejects.toMatchObject(unavailable);
    await expect(sessions.refresh(tokens[0] ?? "")).rejects.toMatchObject(unavailable);
    expect(heard.map(({ type }) => type)).not.toContain("reuse-detected");
    stage.around = (call) => call.proceed();
    expect((await visit(sessions, tokens[0] ?? "")).found).toBe("reuse-detected");
    expect((await visit(sessions, tokens[1] ?? "")).found).toBe("ended: reuse-detected");
  });

  it("is a visitor who can write nothing, where the application wants that of a failing store", async () => {
    const stage = await world(1, { onStoreFailure: "anonymous" });
    failToEnd(stage);
    const { session } = await request(stage.sessions, stage.tokens[0] ?? "");
    expect([session.state, session.id, session.data]).toEqual(["anonymous", null, {}]);
    session.data["n"] = 2;
    await expect(session.save()).rejects.toMatchObject({ code: "ERR_STORE_UNAVAILABLE" });
  });

  it("has ended it, where only the answer was lost", async () => {
    const stage = await world();
    stage.around = async (call) => {
      const answer = await call.proceed();
      if (call.method === "delete") throw new Error("The connection is gone.");
      return answer;
    };
    expect((await visit(stage.sessions, stage.tokens[0] ?? "")).found).toBe("reuse-detected");
    expect(stage.heard.map(({ type }) => type)).toEqual(["store-failed", "reuse-detected"]);
  });
});
