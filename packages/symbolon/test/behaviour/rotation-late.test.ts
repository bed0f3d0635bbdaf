/** Responses that are lost or late, and requests that take long: nobody honest is logged out by a rotation (DESIGN 8.4). */
import type { Session } from "symbolon";
import { memoryStore } from "symbolon/stores/memory";
import { type ManualClock, manualClock } from "symbolon/testing";
import { describe, expect, it } from "vitest";
import { listen, manager, type Options } from "../support/sessions.ts";
import { intercept, spied } from "../support/stores.ts";
import { next, request, respond, visit } from "../support/visits.ts";

const USER = "user-1";
const SECOND = 1000;
const GRACE = 10 * SECOND;
const MINUTE = 60 * SECOND;
const HOUR = 60 * MINUTE;

interface World {
  readonly clock: ManualClock;
  readonly sessions: ReturnType<typeof manager>;
  readonly token: string;
  /** The names of the store calls since the session began. */
  readonly calls: string[];
}

/** A session that is due to rotate. */
async function world(options: Options = {}, about: object = {}): Promise<World> {
  const clock = manualClock();
  const { store, calls } = spied(memoryStore());
  const sessions = manager({ store, clock, ...options });
  const { token } = await sessions.create({ userId: USER, data: { n: 1 }, ...about });
  clock.advance(15 * MINUTE);
  calls.length = 0;
  return { clock, sessions, token, calls };
}

describe("a response that was lost", () => {
  it("is made up for with the same token, byte for byte, for as long as the session lives", async () => {
    const { clock, sessions, token } = await world({ lifetime: { idle: "12h", absolute: "24h" } });
    const lost = await next(sessions, token);
    for (const later of [0, 1, GRACE, MINUTE, HOUR, 9 * HOUR, 9 * HOUR]) {
      clock.advance(later);
      expect(await visit(sessions, token)).toEqual({ found: USER, token: lost, maxAge: null });
    }
    expect((await visit(sessions, lost)).found).toBe(USER);
    expect(await next(sessions, token)).toBe(lost);
    clock.advance(GRACE);
    expect(await visit(sessions, token)).toEqual({ found: "reuse-detected", token: null, maxAge: null });
  });

  it("does not keep a client from working that ignores all new cookies", async () => {
    const { clock, sessions, token } = await world();
    for (let n = 1; n < 20; n++) {
      expect((await visit(sessions, token, ({ data }) => void (data["n"] = Number(data["n"]) + 1))).found).toBe(USER);
      clock.advance(59 * MINUTE);
    }
    await visit(sessions, token, ({ data }) => expect(data).toEqual({ n: 20 }));
  });

  it("after a rotation on demand, too", async () => {
    const { clock, sessions, token } = await world({ rotation: { every: false } });
    const rotated = await visit(sessions, token, (session) => session.rotate());
    clock.advance(30 * MINUTE);
    expect(await next(sessions, token)).toBe(rotated.token);
  });

  it("after a write whose own answer was lost leaves the token there was, and its successor", async () => {
    let isLost = false;
    const store = intercept(memoryStore(), async (call) => {
      const answer = await call.proceed();
      if (isLost && call.method === "update") throw new Error("The connection is gone.");
      return answer;
    });
    const { sessions, token } = await world({ store });
    isLost = true;
    const given = await next(sessions, token);
    isLost = false;
    expect(await next(sessions, token)).toBe(given);
    expect((await visit(sessions, given)).found).toBe(USER);
  });
});

/** A way to be given a cookie by a request that takes long. */
interface Slow {
  readonly name: string;
  readonly options?: Options;
  readonly about?: object;
  /** What it does before others come. */
  readonly begin?: (session: Session) => unknown;
  /** What it does when others have come. */
  readonly finish?: (session: Session) => unknown;
}

const write = (session: Session): void => void (session.data["slow"] = true);
const save = async (session: Session): Promise<void> => {
  write(session);
  await session.save();
};

const everySlow: readonly Slow[] = [
  { name: "reads only" },
  { name: "writes at the end", finish: write },
  { name: "saves at the end", finish: save },
  { name: "saves at the beginning", begin: save },
  { name: "saves at the beginning, with a persistent cookie", begin: save, options: { cookie: { persistent: true } } },
  { name: "saves at the beginning of a remembered session", begin: save, about: { remember: true } },
  { name: "saves at the beginning and at the end", begin: save, finish: save, about: { remember: true } },
  { name: "shortens the session", begin: (session) => session.setDuration("50m"), about: { remember: true } },
  { name: "asks for a rotation at the beginning", begin: (session) => session.rotate() },
  { name: "asks for a rotation at the end", finish: (session) => session.rotate() },
  {
    name: "asks for a rotation at the beginning of a remembered session, and saves",
    begin: async (session) => [await session.rotate(), await save(session)],
    about: { remember: true },
  },
];

/** How far others have rotated meanwhile the token that the slow request came with. */
const LEADS = [0, 1, 2, 3];

describe.each(everySlow)("a request that takes half a minute and $name", ({ options, about, begin, finish }) => {
  it.each(LEADS)("puts no older token in the place of a newer, after %i rotations by others", async (lead) => {
    const { clock, sessions, token } = await world({ ...options, rotation: { every: "request" } }, about);
    const slow = await request(sessions, token);
    await begin?.(slow.session);
    let present = token;
    for (let rotated = 0; rotated < lead; rotated++) {
      present = await next(sessions, present);
      await visit(sessions, present);
      clock.advance(GRACE);
    }
    await finish?.(slow.session);
    const { token: given } = await respond(slow);
    // The browser has what came last. None is of any use but the session's.
    expect((await sessions.validate(given ?? present))?.takeToken()).toBeNull();
    expect((await visit(sessions, given ?? present)).found).toBe(USER);
  });

  it.each(LEADS)("and came with the token before, puts none of %i rotations ago in its place", async (lead) => {
    const { clock, sessions, token } = await world({ ...options, rotation: { every: "request" } }, about);
    let present = await next(sessions, token);
    const slow = await request(sessions, token);
    await begin?.(slow.session);
    for (let rotated = 0; rotated < lead; rotated++) {
      await visit(sessions, present);
      clock.advance(GRACE);
      present = await next(sessions, present);
    }
    await finish?.(slow.session);
    const { token: given } = await respond(slow);
    expect([null, present]).toContain(given);
    expect((await visit(sessions, given ?? present)).found).toBe(USER);
  });

  it("sends what the server acknowledges as the session's, before and after the successor's grace", async () => {
    for (const pause of [0, GRACE - 1, GRACE, HOUR / 2]) {
      const { clock, sessions, token } = await world({ ...options, rotation: { every: "request" } }, about);
      const slow = await request(sessions, token);
      await begin?.(slow.session);
      const rotated = await next(sessions, token);
      clock.advance(pause);
      await finish?.(slow.session);
      const { token: given } = await respond(slow);
      expect([null, rotated]).toContain(given);
      expect((await visit(sessions, given ?? rotated)).found).toBe(USER);
    }
  });
});

describe("a request whose token was replaced meanwhile", () => {
  it.each(["split", "server"] as const)(
    "saves its data, and sends no cookie once it is two behind (%s)",
    async (seal) => {
      const { clock, sessions, token } = await world({ seal, rotation: { every: "request" } });
      const heard = listen(sessions);
      const slow = await request(sessions, token);
      slow.session.data["slow"] = true;
      const second = await next(sessions, token);
      await visit(sessions, second);
      clock.advance(GRACE);
      const third = await next(sessions, second);
      expect(await respond(slow)).toEqual({ token: null, maxAge: null });
      await visit(sessions, third, ({ data }) => expect(data).toEqual({ n: 1, slow: true }));
      expect(heard.map(({ type }) => type)).not.toContain("reuse-detected");
    },
  );

  it("opens the data that it never looked at before", async () => {
    const { clock, sessions, token } = await world({ rotation: { every: "request" } });
    const slow = await request(sessions, token);
    let present = token;
    for (let rotated = 0; rotated < 3; rotated++) {
      present = await next(sessions, present);
      await visit(sessions, present, ({ data }) => void (data["n"] = Number(data["n"]) + 1));
      clock.advance(GRACE);
    }
    expect(await slow.session.update((data) => void (data["n"] = Number(data["n"]) + 1))).toBe("saved");
    await visit(sessions, present, ({ data }) => expect(data).toEqual({ n: 5 }));
  });

  it("writes a session's first data so that the new token opens it", async () => {
    const { sessions, token } = await world({}, { data: undefined });
    const slow = await request(sessions, token);
    slow.session.data["first"] = true;
    const rotated = await next(sessions, token);
    expect((await respond(slow)).token).toBe(rotated);
    await visit(sessions, rotated, ({ data }) => expect(data).toEqual({ first: true }));
    await visit(sessions, token, ({ data }) => expect(data).toEqual({ first: true }));
  });

  it("is told to come again rather than write first data that no token opens", async () => {
    const { clock, sessions, token } = await world({ rotation: { every: "request" } }, { data: undefined });
    const slow = await request(sessions, token);
    slow.session.data["first"] = true;
    const second = await next(sessions, token);
    await visit(sessions, second);
    clock.advance(GRACE);
    const third = await next(sessions, second);
    await expect(slow.commit()).rejects.toMatchObject({ code: "ERR_CONFLICT", retryable: true });
    expect(slow.cookies()).toEqual([]);
    await visit(sessions, third, ({ data }) => expect(data).toEqual({}));
  });

  it("looks once more before it sends another's token, and only then", async () => {
    const { sessions, token, calls } = await world();
    const rotated = await next(sessions, token);
    calls.length = 0;
    expect((await visit(sessions, token)).token).toBe(rotated);
    expect(calls).toEqual(["read", "read"]);
    calls.length = 0;
    await visit(sessions, token, ({ data }) => void (data["n"] = 2));
    expect(calls).toEqual(["read", "update"]);
  });

  it("sends nothing when that look fails, and its client gets the token another time", async () => {
    let isDown = false;
    const store = intercept(memoryStore(), async (call) => {
      if (isDown) throw new Error("down");
      return call.proceed();
    });
    const { sessions, token } = await world({ store });
    const rotated = await next(sessions, token);
    const late = await request(sessions, token);
    isDown = true;
    expect(await respond(late)).toEqual({ token: null, maxAge: null });
    isDown = false;
    expect(await next(sessions, token)).toBe(rotated);
  });

  it("sends nothing at all once the session has ended meanwhile", async () => {
    const { sessions, token } = await world();
    await next(sessions, token);
    const late = await request(sessions, token);
    await visit(sessions, token, (session) => session.logout());
    expect(await respond(late)).toEqual({ token: null, maxAge: null });
    expect((await visit(sessions, token)).found).toBe("ended: logout");
  });
});
