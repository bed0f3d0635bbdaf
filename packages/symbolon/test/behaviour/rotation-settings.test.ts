/** Rotation while keys are replaced, clocks jump and caches are behind; over several stores, and over none. */
import { generateKey, type SessionManager, type Store } from "symbolon";
import { cached } from "symbolon/stores/cached";
import { memoryStore } from "symbolon/stores/memory";
import { mirrored } from "symbolon/stores/mirrored";
import { manualClock } from "symbolon/testing";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { cluster, loggedIn } from "../support/carried-sessions.ts";
import { found, listen, manager, opened, taken } from "../support/sessions.ts";
import { intercept, spied, without } from "../support/stores.ts";
import { next, respond, request, visit } from "../support/visits.ts";

const USER = "user-1";
const GRACE = 10_000;
const MINUTE = 60_000;
const HOUR = 60 * MINUTE;
const EVERY = 15 * MINUTE;

async function begin(sessions: SessionManager): Promise<string> {
  return (await sessions.create({ userId: USER, data: { n: 1 } })).token;
}

const keyIdOf = (token: string): number => Buffer.from(token.slice(3), "base64url").readUInt16BE(0);

describe("tokens that rotate while the keys are replaced", () => {
  const [OLD, NEW] = [generateKey(), generateKey()];

  const world = async () => {
    const clock = manualClock();
    const { store, calls } = spied(memoryStore());
    const sessions = manager({ store, clock, keys: [OLD], indexKey: OLD });
    const token = await begin(sessions);
    clock.advance(EVERY);
    return { clock, calls, sessions, token, heard: listen(sessions) };
  };

  it("have the same successor under the new key, which the one before names still", async () => {
    const { sessions, token } = await world();
    const second = await next(sessions, token);
    sessions.setKeys([NEW, OLD]);
    expect(await next(sessions, token)).toBe(second);
    // Written by now, and so sealed, under the new key.
    await visit(sessions, token, ({ data }) => void (data["n"] = 2));
    expect(await next(sessions, token)).toBe(second);
    await visit(sessions, second, ({ data }) => expect(data).toEqual({ n: 2 }));
  });

  it("rotate on under the new key, and keep the id of their own", async () => {
    const { clock, sessions, token, heard } = await world();
    sessions.setKeys([NEW, OLD]);
    let present = token;
    for (let times = 0; times < 4; times++) {
      present = await next(sessions, present);
      expect(keyIdOf(present)).toBe(keyIdOf(token));
      await visit(sessions, present, ({ data }) => expect(data).toEqual({ n: 1 }));
      clock.advance(EVERY);
    }
    expect((await visit(sessions, token)).found).toBe("reuse-detected");
    expect(heard.map(({ type }) => type)).toContain("reuse-detected");
  });

  it("end with their key, old or new alike: no store call, no alarm", async () => {
    const { clock, calls, sessions, token, heard } = await world();
    sessions.setKeys([NEW, OLD]);
    const second = await next(sessions, token);
    const late = await request(sessions, second);
    sessions.setKeys([NEW]);
    clock.advance(EVERY);
    calls.length = 0;
    heard.length = 0;
    for (const dead of [token, second]) expect((await visit(sessions, dead)).found).toBe("unknown-key");
    expect(await late.session.rotate()).toBe("gone");
    expect(await respond(late)).toEqual({ token: null, maxAge: null });
    expect([calls, heard]).toEqual([[], []]);
  });
});

describe("a clock that jumps back", () => {
  it("logs nobody out, and rotates nothing until it has caught up", async () => {
    for (const jump of [1, GRACE, HOUR, 20 * HOUR]) {
      const clock = manualClock();
      const sessions = manager({ clock, lifetime: { idle: "24h" } });
      const heard = listen(sessions);
      const token = await begin(sessions);
      clock.advance(EVERY);
      const second = await next(sessions, token);
      await visit(sessions, second);
      clock.advance(-jump);
      expect(await next(sessions, token)).toBe(second);
      expect(await visit(sessions, second)).toEqual({ found: USER, token: null, maxAge: null });
      clock.advance(jump + GRACE - 1);
      expect(await next(sessions, token)).toBe(second);
      clock.advance(EVERY);
      const third = await next(sessions, second);
      expect((await visit(sessions, third)).found).toBe(USER);
      expect(heard.map(({ type }) => type)).not.toContain("reuse-detected");
    }
  });

  it.each<[string, (sessions: SessionManager, token: string) => Promise<unknown>]>([
    ["in a cookie", (sessions, token) => visit(sessions, token)],
    ["without one", (sessions, token) => sessions.validate(token)],
  ])("does not bring the end of the session nearer when a token arrives %s", async (_, arrive) => {
    const clock = manualClock();
    const sessions = manager({ clock });
    const token = await begin(sessions);
    clock.advance(EVERY);
    const second = await next(sessions, token);
    const end = clock.now() + HOUR;
    clock.advance(-MINUTE);
    await arrive(sessions, second);
    expect((await opened(sessions, second)).expiresAt).toBe(end);
    clock.advance(GRACE);
    expect((await visit(sessions, token)).found).toBe("reuse-detected");
  });

  it("is the same as that of another process which is behind by less than the grace", async () => {
    for (const skew of [-4000, 4000]) {
      const [store, keys, clock, otherClock] = [memoryStore(), [generateKey()], manualClock(), manualClock()];
      otherClock.advance(skew);
      const [here, there] = [manager({ store, keys, clock }), manager({ store, keys, clock: otherClock })];
      const token = await begin(here);
      for (const one of [clock, otherClock]) one.advance(EVERY + 4000);
      const second = await next(here, token);
      await visit(here, second);
      for (const one of [clock, otherClock]) one.advance(5000);
      expect((await visit(there, token)).token).toBe(second);
      expect((await visit(there, second)).found).toBe(USER);
    }
  });
});

/** The cache has a version of before the last rotation; nothing tells it what others write. */
async function behind(times: number) {
  const [storage, keys, clock] = [memoryStore(), [generateKey()], manualClock()];
  const there = manager({ store: storage, keys, clock });
  const far: Store = without(storage, "subscribe");
  const here = manager({ store: cached({ staleness: 5000 }, far), keys, clock });
  const tokens = [await begin(there)];
  for (let rotated = 0; rotated < times; rotated++) {
    await visit(here, tokens.at(-1) ?? "");
    clock.advance(EVERY);
    tokens.push(await next(there, tokens.at(-1) ?? ""));
  }
  const heard = listen(here);
  return { here, there, clock, tokens, heard };
}

describe("a process whose cache is behind", () => {
  beforeEach(() => {
    vi.useFakeTimers({ toFake: ["performance", "setTimeout", "clearTimeout"] });
  });

  afterEach(() => {
    vi.useRealTimers();
  });

  it("takes no newer token for an old one", async () => {
    const { here, tokens, heard } = await behind(3);
    expect((await visit(here, tokens.at(-1) ?? "")).found).toBe(USER);
    expect(heard).toEqual([]);
  });

  it("answers the token before with the successor that another process made, and rotates nothing itself", async () => {
    const { here, tokens, heard } = await behind(2);
    expect(await next(here, tokens.at(-2) ?? "")).toBe(tokens.at(-1));
    expect(heard.map(({ type }) => type)).not.toContain("rotated");
  });

  it("notices a token that comes again once it has to ask, and ends the session", async () => {
    const { here, there, clock, tokens } = await behind(2);
    await visit(there, tokens.at(-1) ?? "");
    clock.advance(GRACE);
    vi.advanceTimersByTime(5000);
    expect((await visit(here, tokens.at(-2) ?? "")).found).toBe("reuse-detected");
    expect(await found(there, tokens.at(-1) ?? "")).toBe("ended: reuse-detected");
  });
});

describe("sessions in several stores", () => {
  it("rotate in all of them: the token, its successor and its end are known by whichever is read", async () => {
    const [first, second, keys, clock] = [memoryStore(), memoryStore(), [generateKey()], manualClock()];
    const both = manager({ store: mirrored(first, [second]), keys, clock });
    const token = await begin(both);
    clock.advance(EVERY);
    const rotated = await next(both, token);
    for (const store of [first, second]) {
      const alone = manager({ store, keys, clock });
      expect(taken(await opened(alone, token))).toBe(rotated);
      expect((await opened(alone, rotated)).data).toEqual({ n: 1 });
    }
    await visit(both, rotated);
    clock.advance(GRACE);
    expect((await visit(both, token)).found).toBe("reuse-detected");
    for (const store of [first, second]) {
      expect(await found(manager({ store, keys, clock }), rotated)).toBe("ended: reuse-detected");
    }
  });

  it("do not end in one only: where the first fails, a reuse fails the request", async () => {
    const [first, second, keys, clock] = [memoryStore(), memoryStore(), [generateKey()], manualClock()];
    let isDown = false;
    const failing = intercept(first, (call) => {
      if (isDown && call.method === "delete") throw new Error("down");
      return call.proceed();
    });
    const both = manager({ store: mirrored(failing, [second]), keys, clock });
    const token = await begin(both);
    const rotated = (await both.refresh(token))?.token ?? "";
    clock.advance(GRACE);
    isDown = true;
    await expect(both.validate(token)).rejects.toMatchObject({ code: "ERR_STORE_UNAVAILABLE" });
    expect(await found(manager({ store: second, keys, clock }), rotated)).toBe(`authenticated: ${USER}`);
  });
});

describe("a session in a sealed cookie", () => {
  it("gets a new token on demand, with its data; of its old cookie nobody can tell", async () => {
    const { clock, process } = cluster();
    const sessions = process();
    const browser = await loggedIn(sessions);
    await browser.visit(sessions, ({ session }) => void (session.data["n"] = 1));
    const copy = await browser.copy();
    clock.advance(EVERY);
    const answers: string[] = [];
    const cookies = await browser.visit(sessions, async ({ session }) => answers.push(await session.rotate()));
    expect([answers, cookies.length > 0]).toEqual([["saved"], true]);
    await browser.visit(process(), ({ session }) => expect([session.userId, session.data]).toEqual([USER, { n: 1 }]));
    expect(await copy.state(process())).toBe(USER);
  });

  it("gets none by itself, and none that is younger than the grace", async () => {
    const { clock, process } = cluster();
    const sessions = process();
    const browser = await loggedIn(sessions);
    await browser.visit(sessions, async ({ session }) => expect(await session.rotate()).toBe("unchanged"));
    const heard = listen(sessions);
    clock.advance(50 * MINUTE);
    await browser.visit(sessions, ({ session }) => expect(session.userId).toBe(USER));
    expect(heard).toEqual([]);
  });

  it("gets none once the headers have left", async () => {
    const { clock, process } = cluster();
    const sessions = process();
    const browser = await loggedIn(sessions);
    clock.advance(EVERY);
    const streaming = await browser.open(sessions);
    await streaming.commit();
    await expect(streaming.session.rotate()).rejects.toMatchObject({ code: "ERR_HEADERS_SENT" });
  });
});

describe("a session that several clients share", () => {
  it("keeps its token for all of them, and is handed out with the present one where one of them asked for it", async () => {
    const clock = manualClock();
    const sessions = manager({ clock, seal: "server", limits: { perUser: 1, onLimit: "reuse" } });
    const [one, other] = [await begin(sessions), await begin(sessions)];
    expect(other).toBe(one);
    clock.advance(50 * MINUTE);
    for (const token of [one, other]) expect(await visit(sessions, token)).toMatchObject({ found: USER, token: null });
    const refreshed = (await sessions.refresh(one))?.token;
    expect(await begin(sessions)).toBe(refreshed);
    expect(taken(await opened(sessions, other))).toBe(refreshed);
  });
});

describe("a session that is tied to its client", () => {
  const HOME = { ip: "203.0.113.9" };
  const ELSEWHERE = { ip: "198.51.100.9" };

  const pinned = async (onMismatch: "deny" | "revoke" | "step-up") => {
    const clock = manualClock();
    const sessions = manager({ clock, pin: { ip: "exact", onMismatch } });
    const { token } = await sessions.create({ userId: USER, client: HOME });
    clock.advance(EVERY);
    const from = async ({ ip }: { ip: string }, held: string) => {
      const one = await request(sessions, held, {}, { secure: true, loopback: false, ip });
      return { found: one.session.userId ?? one.refusal?.reason, ...(await respond(one)) };
    };
    return { sessions, token, from };
  };

  it.each(["deny", "revoke"] as const)(
    "hands the successor to nobody else who has the token before (%s)",
    async (what) => {
      const { sessions, token, from } = await pinned(what);
      const { token: second } = await from(HOME, token);
      expect(await from(ELSEWHERE, token)).toEqual({ found: "pin-mismatch", token: null, maxAge: null });
      expect(await sessions.refresh(token, ELSEWHERE)).toBeNull();
      expect((await from(HOME, token)).token).toBe(what === "deny" ? second : null);
    },
  );

  it.each(["deny", "revoke"] as const)("rotates for nobody else (%s)", async (what) => {
    const { sessions, token, from } = await pinned(what);
    const heard = listen(sessions);
    expect(await from(ELSEWHERE, token)).toEqual({ found: "pin-mismatch", token: null, maxAge: null });
    expect(heard.map(({ type }) => type)).not.toContain("rotated");
  });

  it("stays tied to it with each new token", async () => {
    const { token, from } = await pinned("deny");
    const { token: second } = await from(HOME, token);
    expect((await from(ELSEWHERE, second ?? "")).found).toBe("pin-mismatch");
    expect((await from(HOME, second ?? "")).found).toBe(USER);
  });
});

describe("a session that is as large as it may be", () => {
  it("goes on under as many tokens as any other, whatever their clients are called", async () => {
    const clock = manualClock();
    const sessions = manager({ clock, nameDevice: () => "\u0001".repeat(80) });
    let token: string | null = null;
    for (let size = 8192; token === null; size--) {
      const extra = { filler: "x".repeat(size) };
      token = await sessions.create({ userId: USER, data: { n: 1 }, extra }).then(
        (created) => created.token,
        () => null,
      );
    }
    for (let times = 0; times < 3; times++) {
      clock.advance(EVERY);
      const headers = { "user-agent": "Browser" };
      const { token: rotated } = await respond(await request(sessions, token, headers));
      let present = rotated ?? "";
      for (const roles of [["a"], ["b"], ["c"], ["d"], ["e"], ["f"], ["g"], ["h"], ["i"], ["j"]]) {
        const { token: given } = await visit(sessions, present, async (session) => session.setRoles(roles));
        present = given ?? "";
      }
      expect((await visit(sessions, present)).found).toBe(USER);
      token = present;
      clock.advance(GRACE);
    }
  });
});
