/** `session.lock`: one request of a session at a time, on what the one before has saved. */
import { generateKey, LockTimeoutError, type Session, SessionEndedError, type SessionManager } from "symbolon";
import { manualClock } from "symbolon/testing";
import { describe, expect, it } from "vitest";
import { gate, wait } from "../support/delays.ts";
import { stage } from "../support/lock-stage.ts";
import { lockPairs, lockStores } from "../support/lock-stores.ts";
import { found, listen, manager, opened, taken, untyped, visitor } from "../support/sessions.ts";
import { spied } from "../support/stores.ts";

const USER = "user-1";
const ENDED = { code: "ERR_SESSION_ENDED", status: 401 };
const TAKEN = { code: "ERR_LOCK_TIMEOUT", status: 503 };

/** The data under a token, as a request that begins now finds it. */
async function dataOf(sessions: SessionManager, token: string): Promise<Record<string, unknown>> {
  return structuredClone((await opened(sessions, token)).data);
}

/** Reads a number, takes its time, and writes the next. */
async function countUp({ data }: Session): Promise<number> {
  const count = Number(data["n"]);
  await wait(2);
  data["n"] = count + 1;
  return count;
}

describe.each(lockStores)("a function under a session's lock, on $name", ({ make, isShared }) => {
  it("finds what others saved before, and what it changes is saved when it is done", async () => {
    const sessions = manager({ store: make() });
    const { token } = await sessions.create({ userId: USER, data: { n: 1 } });
    const session = await opened(sessions, token);
    expect(session.data["n"]).toBe(1);
    await (await opened(sessions, token)).update((data) => void (data["n"] = 2));
    const result = await session.lock((lease) => {
      expect(lease).toMatchObject({ isShared, fence: expect.toSatisfy((fence) => fence > 0) });
      expect(session.data["n"]).toBe(2);
      session.data["n"] = 3;
      return "done";
    });
    expect(result).toBe("done");
    expect(await dataOf(sessions, token)).toEqual({ n: 3 });
    expect(session.isModified).toBe(false);
  });

  it("loses no count of many requests, and serves them in the order in which they came", async () => {
    const sessions = manager({ store: make() });
    const { token } = await sessions.create({ userId: USER, data: { n: 0 } });
    const requests = await Promise.all(Array.from({ length: 20 }, () => opened(sessions, token)));
    const counts = await Promise.all(requests.map((session) => session.lock(() => countUp(session))));
    expect(counts).toEqual(counts.map((_, index) => index));
    expect(await dataOf(sessions, token)).toEqual({ n: 20 });
  });

  it("that throws has changed nothing, and the lock is free", async () => {
    const sessions = manager({ store: make() });
    const { token } = await sessions.create({ userId: USER, data: { n: 1 } });
    const session = await opened(sessions, token);
    const broken = new Error("broken");
    const failing = session.lock(() => {
      session.data["n"] = 2;
      session.flash("info", "never kept");
      throw broken;
    });
    await expect(failing).rejects.toBe(broken);
    expect(session.data).toEqual({ n: 1 });
    expect(session.isModified).toBe(false);
    expect(await session.save()).toBe("unchanged");
    await session.lock({ wait: 0 }, () => countUp(session));
    expect(await dataOf(sessions, token)).toEqual({ n: 2 });
    expect((await opened(sessions, token)).flash("info")).toEqual([]);
  });

  it("finds what its own request changed before saved, whatever becomes of the function", async () => {
    const sessions = manager({ store: make() });
    const { token } = await sessions.create({ userId: USER, data: { n: 1 } });
    const session = await opened(sessions, token);
    session.data["cart"] = "tea";
    const failing = session.lock(async () => {
      expect(await dataOf(sessions, token)).toEqual({ n: 1, cart: "tea" });
      session.data["cart"] = "coffee";
      throw new Error("broken");
    });
    await expect(failing).rejects.toThrow("broken");
    expect(session.data).toEqual({ n: 1, cart: "tea" });
    expect(await dataOf(sessions, token)).toEqual({ n: 1, cart: "tea" });
  });

  it("is not run when others have the lock for too long", async () => {
    const sessions = manager({ store: make() });
    const { token } = await sessions.create({ userId: USER, data: { n: 0 } });
    const [one, other] = [await opened(sessions, token), await opened(sessions, token)];
    let isRun = false;
    await one.lock(async () => {
      other.data["seen"] = true;
      const late = other.lock({ wait: 0 }, () => void (isRun = true));
      await expect(late).rejects.toMatchObject(TAKEN);
      await expect(one.lock({ wait: 0 }, () => void (isRun = true))).rejects.toBeInstanceOf(LockTimeoutError);
    });
    expect(isRun).toBe(false);
    // It was saved before, as ever.
    expect(await dataOf(sessions, token)).toEqual({ n: 0, seen: true });
  });

  it("is of one session: others are not held up", async () => {
    const sessions = manager({ store: make() });
    const [one, other] = [await sessions.create({ userId: USER }), await sessions.create({ userId: USER })];
    await one.lock(() => other.lock({ wait: 0 }, () => undefined));
  });

  it("is not run for a session that was ended before, nor saved for one that was ended meanwhile", async () => {
    const sessions = manager({ store: make() });
    const { token, id } = await sessions.create({ userId: USER, data: { n: 1 } });
    const [early, late] = [await opened(sessions, token), await opened(sessions, token)];
    const meanwhile = early.lock(async () => {
      await sessions.revoke(USER, id);
      early.data["n"] = 2;
    });
    await expect(meanwhile).rejects.toMatchObject(ENDED);
    let isRun = false;
    await expect(late.lock(() => void (isRun = true))).rejects.toBeInstanceOf(SessionEndedError);
    expect(isRun).toBe(false);
    for (const session of [early, late]) expect([session.state, session.takeToken()]).toEqual(["anonymous", null]);
    expect(await found(sessions, token)).toBe("ended: revoked");
    const other = await sessions.create({ userId: USER });
    await other.lock({ wait: 0 }, () => undefined);
  });

  it("is not run when the session ends while one waits for its lock", async () => {
    const clock = manualClock();
    const sessions = manager({ store: make(), clock });
    const ends: readonly (readonly [how: string, end: (session: Session) => Promise<unknown> | void])[] = [
      ["logged out", (session) => session.logout()],
      ["expired", () => clock.advance(3_600_000)],
      ["its user's password changed", (session) => session.checkStamp("second")],
    ];
    for (const [how, end] of ends) {
      const { token } = await sessions.create({ userId: USER, stamp: "first", data: {} });
      const [holder, waiting] = [await opened(sessions, token), await opened(sessions, token)];
      const other = await opened(sessions, token);
      const lease = await holder.lock({ lease: "24d" });
      let isRun = false;
      const asking = waiting.lock(() => void (isRun = true));
      await end(other);
      await lease.release().catch(() => undefined);
      await expect(asking, how).rejects.toMatchObject(ENDED);
      expect(isRun, how).toBe(false);
      expect(waiting.state, how).toBe("anonymous");
    }
  });

  it("may log out: nothing is saved then, and the cookie can go", async () => {
    const sessions = manager({ store: make() });
    const { token } = await sessions.create({ userId: USER, data: { n: 1 } });
    const session = await opened(sessions, token);
    await session.lock(async () => {
      session.data["n"] = 2;
      await session.logout();
    });
    expect(session.state).toBe("anonymous");
    expect(await found(sessions, token)).toBe("ended: logout");
  });

  it("may log in: the new session has what it changed after that, and the lock of the old is free", async () => {
    const { store, calls } = spied(make());
    const sessions = manager({ store });
    const { token } = await sessions.create({ data: { cart: "tea", n: 1 } });
    const session = await opened(sessions, token);
    await session.lock(async () => {
      await session.login(USER, { carry: ["cart"] });
      session.data["n"] = 5;
    });
    // The lock is of another session, which may live elsewhere.
    expect(calls.filter((method) => method.startsWith("update"))).toEqual(["update"]);
    const next = taken(session);
    expect(await found(sessions, token)).toBe("ended: replaced");
    expect(await found(sessions, next)).toBe(`authenticated: ${USER}`);
    expect(await dataOf(sessions, next)).toEqual({ cart: "tea", n: 5 });
    await session.lock({ wait: 0 }, () => countUp(session));
    expect(await dataOf(sessions, next)).toEqual({ cart: "tea", n: 6 });
  });

  it("may put the session aside: that ends, and what it changed after begins the next", async () => {
    const sessions = manager({ store: make() });
    const { token } = await sessions.create({ userId: USER, data: { n: 1 } });
    const session = await opened(sessions, token);
    await session.lock(() => {
      session.reset();
      session.data["n"] = 7;
    });
    expect(await found(sessions, token)).toBe("ended: reset");
    expect(await dataOf(sessions, taken(session))).toEqual({ n: 7 });
  });

  it("is run for a session that is not stored yet, which is stored when it is done; there is nobody to lock out", async () => {
    const { store, calls } = spied(make());
    const sessions = manager({ store });
    const session = await visitor(sessions);
    await session.lock({ wait: 0 }, () => {
      session.data["n"] = 1;
    });
    expect(calls).toEqual(["create"]);
    expect(await dataOf(sessions, taken(session))).toEqual({ n: 1 });
    const nobody = await visitor(sessions);
    expect(await nobody.lock(() => "nothing to save")).toBe("nothing to save");
    expect(calls.filter((method) => method === "create")).toHaveLength(1);
  });

  it("locks a session that its request has begun before", async () => {
    const { store, calls } = spied(make());
    const sessions = manager({ store });
    const session = await visitor(sessions);
    session.data["n"] = 1;
    await session.lock(() => countUp(session));
    expect(calls[0]).toBe("create");
    expect(calls.includes("acquireLock")).toBe(isShared);
    expect(await dataOf(sessions, taken(session))).toEqual({ n: 2 });
  });

  it("runs the function of an update once, and keeps all of both", async () => {
    const sessions = manager({ store: make() });
    const { token } = await sessions.create({ userId: USER, data: { n: 0 } });
    const requests = await Promise.all(Array.from({ length: 10 }, () => opened(sessions, token)));
    let runs = 0;
    const asking = requests.map((session) =>
      session.lock(async () => {
        session.data["own"] = Number(session.data["own"] ?? 0) + 1;
        await session.update((data) => {
          runs++;
          data["n"] = Number(data["n"]) + 1;
        });
      }),
    );
    await Promise.all(asking);
    expect(runs).toBe(10);
    expect(await dataOf(sessions, token)).toEqual({ n: 10, own: 10 });
  });

  it("costs the lock, a read and the release besides what it writes", async () => {
    const { store, calls } = spied(make());
    const sessions = manager({ store });
    const session = await sessions.create({ userId: USER, data: { n: 1 } });
    const before = calls.length;
    await session.lock(() => session.data["n"]);
    const write = isShared ? "updateUnderLock" : "update";
    const around = (...inside: string[]): string[] =>
      isShared ? ["acquireLock", "read", ...inside, "releaseLock"] : ["read", ...inside];
    expect(calls.slice(before)).toEqual(around());
    await session.lock(() => countUp(session));
    expect(calls.slice(before)).toEqual([...around(), ...around(write)]);
  });

  it("refuses wrong options before it has asked for anything", async () => {
    const { store, calls } = spied(make());
    const session = await manager({ store }).create({ userId: USER, data: {} });
    await expect(untyped(session, "lock", { lease: 99 })).rejects.toThrow(/^lock\.lease: at least 100 ms/);
    await expect(untyped(session, "lock", { retries: 3 })).rejects.toThrow(/^lock\.retries: there is no such option/);
    expect(calls).not.toContain("acquireLock");
    await session.lock({ wait: 0 }, () => undefined);
  });
});

describe.each(lockStores)("a session's lock that is held until it is released, on $name", ({ make, isShared }) => {
  it("is written under until then, by whoever saves", async () => {
    const { store, calls } = spied(make());
    const sessions = manager({ store });
    const { token } = await sessions.create({ userId: USER, data: { n: 1 } });
    const [session, other] = [await opened(sessions, token), await opened(sessions, token)];
    const before = calls.length;
    {
      await using lease = await session.lock();
      expect(lease.isShared).toBe(isShared);
      await expect(other.lock({ wait: 0 })).rejects.toMatchObject(TAKEN);
      await countUp(session);
      expect(await session.save()).toBe("saved");
      session.data["n"] = 100;
    }
    expect(await dataOf(sessions, token)).toEqual({ n: 2 });
    // What was not saved by then is saved as ever, and merged with what others wrote.
    await other.lock(() => void (other.data["other"] = true));
    expect(await session.save()).toBe("saved");
    expect(await dataOf(sessions, token)).toEqual({ n: 100, other: true });
    const writes = calls.slice(before).filter((method) => method.startsWith("update"));
    expect(writes.slice(0, 2)).toEqual(Array(2).fill(isShared ? "updateUnderLock" : "update"));
    expect(writes[2]).toBe("update");
  });
});

describe.each(lockPairs)("a session's lock on $name, of two processes", ({ make }) => {
  it("loses no count of either", async () => {
    const { here, there } = stage(make);
    const { token } = await here.create({ userId: USER, data: { n: 0 } });
    const counting = [here, there].flatMap((sessions) =>
      Array.from({ length: 20 }, async () => {
        const session = await opened(sessions, token);
        await session.lock(() => countUp(session));
      }),
    );
    await Promise.all(counting);
    expect(await dataOf(here, token)).toEqual({ n: 40 });
  });

  it("is waited for, and what the other saved is found", async () => {
    const { here, there } = stage(make);
    const { token } = await here.create({ userId: USER, data: { n: 1 } });
    const [ours, theirs] = [await opened(here, token), await opened(there, token)];
    const isHeld = gate();
    const mayEnd = gate();
    const first = theirs.lock(async () => {
      isHeld.open();
      await mayEnd.passed;
      theirs.data["n"] = 2;
    });
    await isHeld.passed;
    const seen = ours.lock(() => ours.data["n"]);
    await expect(ours.lock({ wait: 0 })).rejects.toMatchObject(TAKEN);
    mayEnd.open();
    await first;
    expect(await seen).toBe(2);
  });

  it("raises no event of its own, and no merge", async () => {
    const { here, there } = stage(make, { keys: [generateKey()] });
    const { token } = await here.create({ userId: USER, data: { n: 1 } });
    const events = [listen(here), listen(there)];
    for (const sessions of [here, there]) {
      const session = await opened(sessions, token);
      await session.lock(() => countUp(session));
    }
    expect(events).toEqual([[], []]);
  });
});
