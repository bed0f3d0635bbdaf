/** Tokens in cookies that rotate: when, what that costs, and what it leaves as it is (DESIGN 8.4, R-131, R-135). */
import { isTombstone, type Session, type StoredRecord } from "symbolon";
import { memoryStore } from "symbolon/stores/memory";
import { type ManualClock, manualClock } from "symbolon/testing";
import { describe, expect, it } from "vitest";
import { listen, manager, type Options, taken } from "../support/sessions.ts";
import { type FullStore, spied } from "../support/stores.ts";
import { next, request, respond, visit } from "../support/visits.ts";

const USER = "user-1";
const SECOND = 1000;
const GRACE = 10 * SECOND;
const MINUTE = 60 * SECOND;
const EVERY = 15 * MINUTE;
const HOUR = 60 * MINUTE;

interface World {
  readonly clock: ManualClock;
  readonly sessions: ReturnType<typeof manager>;
  readonly token: string;
  /** The names of the store calls since they were taken last. */
  readonly takeCalls: () => string[];
  /** What is stored of the session. */
  readonly stored: () => Promise<StoredRecord>;
}

async function world(options: Options = {}, about: object = {}): Promise<World> {
  const clock = manualClock();
  const inner = memoryStore();
  const { store, calls } = spied(inner);
  const sessions = manager({ store, clock, ...options });
  const { token } = await sessions.create({ userId: USER, data: { n: 1 }, ...about });
  calls.length = 0;
  return { clock, sessions, token, takeCalls: () => calls.splice(0), stored: () => onlyRecord(inner) };
}

async function onlyRecord(store: FullStore): Promise<StoredRecord> {
  const call = { now: 0, signal: new AbortController().signal };
  const { entries } = await store.scan({ cursor: null, limit: 2 }, call);
  const [entry, ...more] = entries;
  if (entry === undefined || isTombstone(entry) || more.length > 0) throw new Error("There is not one session.");
  return entry;
}

describe("a token in a cookie", () => {
  it("is replaced by the first request after 15 minutes, and by none before", async () => {
    const { clock, sessions, token } = await world();
    clock.advance(EVERY - 1);
    expect(await visit(sessions, token)).toEqual({ found: USER, token: null, maxAge: null });
    clock.advance(1);
    const second = await next(sessions, token);
    expect(second).not.toBe(token);
    clock.advance(EVERY - 1);
    expect((await visit(sessions, second)).token).toBeNull();
    clock.advance(GRACE);
    expect(new Set([token, second, await next(sessions, second)]).size).toBe(3);
  });

  it("is replaced after as long as the option says, by use only", async () => {
    const { clock, sessions, token, takeCalls } = await world({ rotation: { every: "5m" } });
    clock.advance(5 * MINUTE - 1);
    expect((await visit(sessions, token)).token).toBeNull();
    clock.advance(30 * MINUTE);
    takeCalls();
    expect((await visit(sessions, token)).token).not.toBeNull();
    expect(takeCalls()).toEqual(["read", "update"]);
  });

  it("is replaced with each request that grace lets replace it, where the option says so", async () => {
    const { clock, sessions, token } = await world({ rotation: { every: "request", grace: "4s" } });
    const given: (string | null)[] = [];
    let present = token;
    for (let second = 0; second <= 12; second++) {
      const answer = await visit(sessions, present);
      given.push(answer.token === null ? null : "new");
      present = answer.token ?? present;
      clock.advance(SECOND);
    }
    // Replaced at 4 s, arrived at 5 s, replaced 4 s later, arrived a second after that.
    expect(given.map((one, second) => (one === null ? null : second)).filter((one) => one !== null)).toEqual([4, 9]);
  });

  it("is not replaced where it was never presented, and so rotates no faster than its client has it", async () => {
    const { clock, sessions, token } = await world({ rotation: { every: "request" } });
    clock.advance(HOUR / 2);
    const second = await next(sessions, token);
    for (let times = 0; times < 5; times++) {
      clock.advance(10 * MINUTE);
      expect(await next(sessions, token)).toBe(second);
    }
  });

  it("goes on as it is where rotation is off", async () => {
    const { clock, sessions, token } = await world({ rotation: { every: false } });
    for (let hour = 0; hour < 23; hour++) {
      clock.advance(HOUR - 1);
      expect(await visit(sessions, token)).toEqual({ found: USER, token: null, maxAge: null });
    }
  });

  it.each([
    ["of a visitor", { userId: undefined }, "anonymous"],
    ["of a pending login", { pending: "second-factor" }, "pending"],
    ["of a user whom somebody else acts as", { actor: "admin" }, USER],
  ])("%s is replaced, too", async (_, about, who) => {
    const { clock, sessions, token } = await world({ rotation: { every: "1m" } }, about);
    clock.advance(MINUTE);
    const second = await next(sessions, token);
    expect([second.slice(0, 3), second === token]).toEqual([token.slice(0, 3), false]);
    await visit(sessions, second, ({ data }) => expect(data).toEqual({ n: 1 }));
    expect((await visit(sessions, second)).found).toBe(who);
  });

  it("is replaced although the handler failed, and what that changed was dropped", async () => {
    const { clock, sessions, token } = await world();
    clock.advance(EVERY);
    const failed = await request(sessions, token);
    failed.session.data["n"] = 2;
    failed.discard();
    const { token: second } = await respond(failed);
    await visit(sessions, second ?? "", ({ data }) => expect(data).toEqual({ n: 1 }));
  });

  it("is not replaced once the headers have left", async () => {
    const { clock, sessions, token, takeCalls } = await world();
    const streaming = await request(sessions, token);
    expect(streaming.cookies()).toEqual([]);
    clock.advance(EVERY);
    streaming.session.data["n"] = 2;
    takeCalls();
    await streaming.commitLate();
    expect(takeCalls()).toEqual(["update"]);
    await visit(sessions, token, ({ data }) => expect(data).toEqual({ n: 2 }));
    expect(await next(sessions, token)).not.toBe(token);
  });

  it("is not replaced by a request that another site may have sent", async () => {
    const { clock, sessions, token, takeCalls } = await world();
    clock.advance(EVERY);
    const forged = await request(sessions, token, { "sec-fetch-site": "cross-site" });
    expect(forged.csrfRefusal({ method: "POST" })).toBe("cross-site");
    expect(await respond(forged)).toEqual({ token: null, maxAge: null });
    expect(takeCalls()).toEqual(["read"]);
  });
});

describe("a token that no cookie carries", () => {
  it("is not replaced by itself, whoever shows it", async () => {
    const { clock, sessions, token } = await world({ bearer: true, rotation: { every: "request" } });
    for (let times = 0; times < 5; times++) {
      clock.advance(HOUR / 2);
      expect((await sessions.validate(token))?.takeToken()).toBeNull();
      const opened = await request(sessions, "", { cookie: "", authorization: `Bearer ${token}` });
      opened.session.data["n"] = times;
      expect(await respond(opened)).toEqual({ token: null, maxAge: null });
      expect(opened.session.takeToken()).toBeNull();
    }
  });
});

describe("what a rotation costs", () => {
  const changes: Readonly<Record<string, (session: Session) => unknown>> = {
    nothing: () => undefined,
    data: ({ data }) => void (data["n"] = 2),
    "a message": (session) => session.flash("notice", "Hello."),
    "an earlier end": (session) => session.setDuration("30m"),
    all: (session) => {
      session.data["n"] = 2;
      session.flash("notice", "Hello.");
      session.setDuration("30m");
    },
  };

  it.each(Object.entries(changes))("is one store write, together with %s", async (what, use) => {
    const { clock, sessions, token, takeCalls } = await world();
    clock.advance(EVERY);
    const { token: second } = await visit(sessions, token, use);
    expect(takeCalls()).toEqual(["read", "update"]);
    const session = await sessions.validate(second ?? "");
    expect(session?.data["n"]).toBe(what === "data" || what === "all" ? 2 : 1);
    expect(session?.flash("notice")).toEqual(what === "a message" || what === "all" ? ["Hello."] : []);
    expect((session?.expiresAt ?? 0) - clock.now()).toBe(
      what.startsWith("a") && what !== "a message" ? HOUR / 2 : HOUR,
    );
  });

  it("is one write more when the new token arrives, and none in between", async () => {
    const { clock, sessions, token, takeCalls } = await world();
    for (let minute = 0; minute < 5; minute++) {
      await visit(sessions, token, ({ data }) => data["n"]);
      clock.advance(MINUTE);
    }
    expect(takeCalls()).toEqual(["read", "read", "read", "read", "read"]);
    clock.advance(EVERY);
    const second = await next(sessions, token);
    expect(takeCalls()).toEqual(["read", "update"]);
    for (const expected of [["read", "update"], ["read"], ["read"]]) {
      await visit(sessions, second, ({ data }) => data["n"]);
      expect(takeCalls()).toEqual(expected);
      clock.advance(MINUTE);
    }
  });

  it("notes the arrival with what a request writes anyway", async () => {
    const { clock, sessions, token, takeCalls } = await world();
    clock.advance(EVERY);
    const second = await next(sessions, token);
    takeCalls();
    await visit(sessions, second, ({ data }) => void (data["n"] = 2));
    await visit(sessions, second);
    expect(takeCalls()).toEqual(["read", "update", "read"]);
  });

  it("notes the arrival of a token that is shown without a cookie, once", async () => {
    const { clock, sessions, token, takeCalls } = await world();
    clock.advance(EVERY);
    const second = await next(sessions, token);
    takeCalls();
    await sessions.validate(second);
    await sessions.validate(second);
    expect(takeCalls()).toEqual(["read", "update", "read"]);
    clock.advance(GRACE);
    expect((await visit(sessions, token)).found).toBe("reuse-detected");
  });
});

const factsOf = (session: Session | null) => [
  session?.id,
  session?.userId,
  session?.createdAt,
  session?.authenticatedAt,
];

describe("a rotation leaves as it is", () => {
  const ways: Readonly<Record<string, (world: World) => Promise<string>>> = {
    "by itself": ({ sessions, token }) => next(sessions, token),
    "by a refresh": async ({ sessions, token }) => (await sessions.refresh(token))?.token ?? "",
    "on demand": async ({ sessions, token }) => {
      const session = await sessions.validate(token);
      await session?.rotate();
      return session?.takeToken() ?? "";
    },
    "for new roles": async ({ sessions, token, clock }) => {
      const session = await sessions.validate(token);
      await session?.setRoles([`editor-${clock.now()}`]);
      return session?.takeToken() ?? "";
    },
    "for new credentials": async ({ sessions, token }) => {
      const session = await sessions.validate(token);
      await session?.keepLogin("new");
      return session?.takeToken() ?? "";
    },
  };

  describe.each(Object.entries(ways))("%s", (_, rotate) => {
    it.each(["split", "server"] as const)("the data as it is sealed (%s)", async (seal) => {
      const stage = await world({ seal });
      const before = await stage.stored();
      stage.clock.advance(EVERY);
      const second = await rotate(stage);
      const after = await stage.stored();
      expect(before.data?.length).toBeGreaterThan(0);
      expect(Buffer.from(after.data ?? [])).toEqual(Buffer.from(before.data ?? []));
      expect(Buffer.from(after.envelope)).not.toEqual(Buffer.from(before.envelope));
      expect((await stage.sessions.validate(second))?.data).toEqual({ n: 1 });
    });

    it("handle, user, times of begin and login, and the absolute end", async () => {
      const stage = await world({ lifetime: { idle: "1h", absolute: "90m" } });
      const before = await stage.sessions.validate(stage.token);
      let token = stage.token;
      for (let times = 0; times < 4; times++) {
        stage.clock.advance(20 * MINUTE);
        token = await rotate({ ...stage, token });
        expect(factsOf(await stage.sessions.validate(token))).toEqual(factsOf(before));
        // By now the new token has arrived, and the grace of the one before is over.
        stage.clock.advance(GRACE);
      }
      stage.clock.set((before?.createdAt ?? 0) + 90 * MINUTE - 1);
      expect((await stage.sessions.validate(token))?.expiresAt).toBe(stage.clock.now() + 1);
      stage.clock.advance(1);
      expect(await stage.sessions.inspect(token)).toEqual({ ok: false, reason: "expired" });
    });

    it("the CSRF tokens of forms that are open", async () => {
      const stage = await world({ csrf: "token" });
      const formToken = (await request(stage.sessions, stage.token)).session.csrfToken();
      stage.clock.advance(EVERY);
      const second = await rotate(stage);
      const sent = await request(stage.sessions, second);
      expect(sent.csrfRefusal({ method: "POST", formToken: `${formToken}x` })).toBe("token-wrong");
      expect(sent.csrfRefusal({ method: "POST", formToken })).toBeNull();
    });

    it("the idle timeout: it begins anew with the use that the rotation is", async () => {
      const stage = await world();
      stage.clock.advance(HOUR - 1);
      const second = await rotate(stage);
      expect((await stage.sessions.validate(second))?.expiresAt).toBe(stage.clock.now() + HOUR);
      stage.clock.advance(HOUR);
      expect(await stage.sessions.inspect(second)).toEqual({ ok: false, reason: "expired" });
    });
  });
});

describe("the Max-Age of a cookie whose token rotates", () => {
  it.each([
    ["persistent", { cookie: { persistent: true } }, {}],
    ["remembered", { lifetime: { remember: { idle: "1h", absolute: "3h" } } }, { remember: true }],
  ] as const)(
    "is what the server gives the session, on every response that has one (%s)",
    async (_, options, about) => {
      const { clock, sessions, token } = await world({ lifetime: { idle: "1h", absolute: "3h" }, ...options }, about);
      let present = token;
      let cookies = 0;
      for (const pause of [EVERY, SECOND, 7 * MINUTE, EVERY, EVERY, 1, HOUR - 1, 50 * MINUTE, 20 * MINUTE, SECOND]) {
        clock.advance(pause);
        // The one before, too: its answer carries the same token, with the same end.
        const answers = [await visit(sessions, present), await visit(sessions, present)];
        for (const { token: given, maxAge } of answers) {
          if (given === null) continue;
          cookies++;
          const left = ((await sessions.validate(given))?.expiresAt ?? 0) - clock.now();
          expect(maxAge).toBe(Math.floor(left / 1000));
          present = given;
        }
      }
      expect(cookies).toBeGreaterThan(5);
    },
  );

  it("is not there where the cookie ends with the browser", async () => {
    const { clock, sessions, token } = await world();
    clock.advance(EVERY);
    expect((await visit(sessions, token)).maxAge).toBeNull();
  });
});

describe("parallel requests of one session whose token is due", () => {
  it("get one token, in one process, and one of them tells of it", async () => {
    const { clock, sessions, token, takeCalls } = await world();
    const heard = listen(sessions);
    clock.advance(EVERY);
    const opened = await Promise.all(Array.from({ length: 50 }, () => request(sessions, token)));
    const answers = await Promise.all(opened.map((one) => respond(one)));
    expect(new Set(answers.map((answer) => answer.token)).size).toBe(1);
    expect(takeCalls().filter((name) => name === "update")).toHaveLength(1);
    expect(heard.map(({ type }) => type)).toEqual(["rotated"]);
    const { token: second } = answers[0] ?? {};
    expect((await visit(sessions, second ?? "")).found).toBe(USER);
    const session = await sessions.validate(token);
    expect(session === null ? null : taken(session)).toBe(second);
  });
});
