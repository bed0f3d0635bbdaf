/** session.rotate(), and changes that make a token dead at once: what they answer, and what parallel requests find. */
import { generateKey, openSession, type Session } from "symbolon";
import { memoryStore } from "symbolon/stores/memory";
import { type ManualClock, manualClock } from "symbolon/testing";
import { describe, expect, it } from "vitest";
import { found, listen, manager, opened, type Options, taken } from "../support/sessions.ts";
import { intercept, spied } from "../support/stores.ts";
import { next, request, respond, visit } from "../support/visits.ts";

const USER = "user-1";
const GRACE = 10_000;
const MINUTE = 60_000;

interface World {
  readonly clock: ManualClock;
  readonly sessions: ReturnType<typeof manager>;
  readonly token: string;
  readonly calls: string[];
}

/** A session whose token is old enough to be replaced on demand, but not due. */
async function world(options: Options = {}, about: object = {}): Promise<World> {
  const clock = manualClock();
  const { store, calls } = spied(memoryStore());
  const sessions = manager({ store, clock, ...options });
  const { token } = await sessions.create({ userId: USER, roles: ["reader"], stamp: "v1", data: { n: 1 }, ...about });
  clock.advance(MINUTE);
  calls.length = 0;
  return { clock, sessions, token, calls };
}

describe("session.rotate()", () => {
  it("replaces the token now, in one store write, and says so; the response carries it", async () => {
    const { sessions, token, calls } = await world();
    const one = await request(sessions, token);
    calls.length = 0;
    expect(await one.session.rotate()).toBe("saved");
    expect(calls).toEqual(["update"]);
    const { token: second } = await respond(one);
    expect([second === null, second === token]).toEqual([false, false]);
    expect((await visit(sessions, second ?? "")).found).toBe(USER);
  });

  it("answers 'unchanged' for a token younger than the grace, and once it is that old replaces it", async () => {
    const clock = manualClock();
    const sessions = manager({ clock });
    const { token } = await sessions.create({ userId: USER });
    clock.advance(GRACE - 1);
    expect(await visit(sessions, token, async (session) => expect(await session.rotate()).toBe("unchanged"))).toEqual({
      found: USER,
      token: null,
      maxAge: null,
    });
    clock.advance(1);
    await visit(sessions, token, async (session) => expect(await session.rotate()).toBe("saved"));
  });

  it("gives who came with the token before its successor, and no other, however long the request takes", async () => {
    const { clock, sessions, token } = await world();
    const second = (await visit(sessions, token, (session) => session.rotate())).token ?? "";
    expect((await visit(sessions, second)).found).toBe(USER);
    const slow = await request(sessions, token);
    clock.advance(GRACE);
    expect(await slow.session.rotate()).toBe("unchanged");
    expect(await respond(slow)).toMatchObject({ token: second });
    expect((await visit(sessions, second)).found).toBe(USER);
  });

  it("answers 'unchanged' until the token has arrived and the grace of the one before is over", async () => {
    const { clock, sessions, token } = await world();
    const { token: second } = await visit(sessions, token, (session) => session.rotate());
    const again = (held: string) => async (): Promise<string> => {
      let answer = "";
      await visit(sessions, held, async (session) => {
        answer = await session.rotate();
      });
      return answer;
    };
    clock.advance(30 * MINUTE);
    // Nobody has presented it yet: with the one before, and with itself.
    expect(await again(token)()).toBe("unchanged");
    expect(await again(second ?? "")()).toBe("unchanged");
    clock.advance(GRACE - 1);
    expect(await again(second ?? "")()).toBe("unchanged");
    clock.advance(1);
    expect(await again(second ?? "")()).toBe("saved");
  });

  it("answers 'unchanged' where another request has just done so, and the response carries that token", async () => {
    const { sessions, token } = await world();
    const [one, other] = [await request(sessions, token), await request(sessions, token)];
    expect([await one.session.rotate(), await other.session.rotate()]).toEqual(["saved", "unchanged"]);
    const second = (await respond(one)).token;
    expect((await respond(other)).token).toBe(second);
    expect(second).not.toBeNull();
  });

  it("is done once by fifty requests that ask for it at once", async () => {
    const { sessions, token } = await world();
    const heard = listen(sessions);
    const all = await Promise.all(Array.from({ length: 50 }, () => request(sessions, token)));
    const answers = await Promise.all(all.map(({ session }) => session.rotate()));
    expect(answers.filter((answer) => answer === "saved")).toHaveLength(1);
    expect(answers.filter((answer) => answer === "unchanged")).toHaveLength(49);
    expect(heard.filter(({ type }) => type === "rotated")).toHaveLength(1);
    const given = await Promise.all(all.map(async (one) => (await respond(one)).token));
    expect(new Set(given).size).toBe(1);
  });

  it("answers 'gone' for a session that has ended meanwhile, and nothing is sent", async () => {
    const { sessions, token } = await world();
    const late = await request(sessions, token);
    await sessions.revokeToken(token);
    expect([await late.session.rotate(), await late.session.rotate()]).toEqual(["gone", "gone"]);
    expect(await respond(late)).toEqual({ token: null, maxAge: null });
  });

  it("has nothing to replace in a session that is not stored, and takes nothing from it", async () => {
    const { sessions } = await world();
    const visitor = await openSession(sessions, { get: () => undefined });
    expect(await visitor.session.rotate()).toBe("unchanged");
    visitor.session.data["cart"] = ["tea"];
    const { token } = await respond(visitor);
    await visit(sessions, token ?? "", ({ data }) => expect(data).toEqual({ cart: ["tea"] }));
  });

  it("does not keep a logout from taking its cookie away", async () => {
    const { sessions, token } = await world();
    const leaving = await request(sessions, token);
    await leaving.session.logout();
    expect(await leaving.session.rotate()).toBe("unchanged");
    expect(await leaving.commit()).toEqual([expect.stringMatching(/^__Host-sid=; .*Max-Age=0/)]);
  });

  it("is refused once the headers have left", async () => {
    const { sessions, token, calls } = await world();
    const streaming = await request(sessions, token);
    await respond(streaming);
    calls.length = 0;
    await expect(streaming.session.rotate()).rejects.toMatchObject({ code: "ERR_HEADERS_SENT" });
    expect(calls).toEqual([]);
  });

  it("is refused where no cookie can be sent, and where the session could not be read", async () => {
    const { sessions, token } = await world();
    const plain = await request(sessions, token, {}, { secure: false, loopback: false });
    await expect(plain.session.rotate()).rejects.toMatchObject({ code: "ERR_NOT_SUPPORTED" });
    const down = intercept(memoryStore(), async () => {
      throw new Error("down");
    });
    const keys = [generateKey()];
    const { token: genuine } = await manager({ keys }).create({ userId: USER });
    const { session } = await request(manager({ store: down, onStoreFailure: "anonymous", keys }), genuine);
    await expect(session.rotate()).rejects.toMatchObject({ code: "ERR_STORE_UNAVAILABLE" });
  });

  it.each([
    ["of a visitor", { userId: undefined, roles: undefined, stamp: undefined }, "anonymous"],
    ["of a pending login", { pending: "second-factor", roles: undefined }, "pending"],
  ])("replaces the token %s", async (_, about, state) => {
    const { sessions, token } = await world({}, about);
    const { token: second } = await visit(sessions, token, (session) => session.rotate());
    expect([second?.slice(0, 3), second === token]).toEqual([token.slice(0, 3), false]);
    expect((await visit(sessions, second ?? "")).found).toBe(state);
    expect(taken(await opened(sessions, token))).toBe(second);
  });

  it("keeps what the request has not saved yet, and what others saved", async () => {
    const { sessions, token } = await world();
    const one = await request(sessions, token);
    one.session.data["mine"] = 1;
    await visit(sessions, token, ({ data }) => void (data["theirs"] = 2));
    expect(await one.session.rotate()).toBe("saved");
    one.session.data["later"] = 3;
    const { token: second } = await respond(one);
    await visit(sessions, second ?? "", ({ data }) => expect(data).toEqual({ n: 1, mine: 1, theirs: 2, later: 3 }));
  });

  it("gives the token to who asks for it, where no cookie carries it", async () => {
    const { clock, sessions, token } = await world();
    const session = await opened(sessions, token);
    expect(await session.rotate()).toBe("saved");
    const second = taken(session);
    expect(session.takeToken()).toBeNull();
    expect(taken(await opened(sessions, token))).toBe(second);
    await opened(sessions, second);
    clock.advance(GRACE);
    expect(await found(sessions, token)).toBe("reuse-detected");
  });
});

/** What takes a token's place at once, and what it answers. */
const AT_ONCE: readonly (readonly [string, (session: Session) => Promise<string>])[] = [
  ["setRoles", (session) => session.setRoles(["editor"])],
  ["keepLogin", (session) => session.keepLogin("v2")],
];

describe.each(AT_ONCE)("%s", (_, change) => {
  it("works for a request that came with the token before, and leaves neither of the two", async () => {
    const { clock, sessions, token } = await world({ rotation: { every: "1m" } });
    const heard = listen(sessions);
    const honest = await request(sessions, token);
    const second = await next(sessions, token);
    expect(await change(honest.session)).toBe("saved");
    const { token: third } = await respond(honest);
    expect((await visit(sessions, third ?? "")).found).toBe(USER);
    for (const late of [token, second, token]) {
      expect(await visit(sessions, late)).toEqual({ found: "wrong-secret", token: null, maxAge: null });
    }
    clock.advance(GRACE - 1);
    for (const late of [second, token]) expect((await visit(sessions, late)).found).toBe("wrong-secret");
    expect(heard.filter(({ type }) => type === "reuse-detected")).toEqual([]);
    clock.advance(1);
    expect((await visit(sessions, second)).found).toBe("reuse-detected");
    expect((await visit(sessions, third ?? "")).found).toBe("ended: reuse-detected");
  });

  it("works for a request that came with the predecessor after the rotation", async () => {
    const { sessions, token } = await world({ rotation: { every: "1m" } });
    const second = await next(sessions, token);
    const late = await request(sessions, token);
    expect(await change(late.session)).toBe("saved");
    const { token: third } = await respond(late);
    expect([third === null, third === second, third === token]).toEqual([false, false, false]);
    await visit(sessions, third ?? "", ({ data }) => expect(data).toEqual({ n: 1 }));
    expect((await visit(sessions, second)).found).toBe("wrong-secret");
  });

  it("takes a token that was replaced at once for nothing worse until the new one has arrived, for hours", async () => {
    const { clock, sessions, token } = await world();
    const { token: second } = await visit(sessions, token, change);
    for (const pause of [0, MINUTE, 50 * MINUTE]) {
      clock.advance(pause);
      expect((await visit(sessions, token)).found).toBe("wrong-secret");
    }
    expect((await visit(sessions, second ?? "")).found).toBe(USER);
    clock.advance(GRACE - 1);
    expect((await visit(sessions, token)).found).toBe("wrong-secret");
    clock.advance(1);
    expect((await visit(sessions, token)).found).toBe("reuse-detected");
  });

  it("is not taken part in by who asks for a rotation meanwhile", async () => {
    const { sessions, token } = await world();
    const other = await request(sessions, token);
    const { token: second } = await visit(sessions, token, change);
    expect(await other.session.rotate()).toBe("unchanged");
    expect(await respond(other)).toEqual({ token: null, maxAge: null });
    expect((await visit(sessions, second ?? "")).found).toBe(USER);
  });

  it("leaves the new token to itself: no rotation follows in the same request", async () => {
    const { clock, sessions, token } = await world({ rotation: { every: "1m" } });
    const { token: second } = await visit(sessions, token, async (session) => {
      await change(session);
      clock.advance(30 * MINUTE);
      expect(await session.rotate()).toBe("unchanged");
    });
    expect((await visit(sessions, second ?? "")).found).toBe(USER);
  });
});
