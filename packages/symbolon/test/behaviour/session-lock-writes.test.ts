/** What is written under a session's lock: only while it is held, and never on top of what others wrote without it. */
import { generateKey, type Session, type SessionManager } from "symbolon";
import { memoryStore } from "symbolon/stores/memory";
import { type ManualClock, manualClock } from "symbolon/testing";
import { describe, expect, it } from "vitest";
import { failing, honest, type LockStage, losing, stage } from "../support/lock-stage.ts";
import { lockPairs } from "../support/lock-stores.ts";
import { manager, opened } from "../support/sessions.ts";
import { without } from "../support/stores.ts";

const USER = "user-1";
const MINUTE = 60_000;
const LOST = { code: "ERR_LEASE_LOST", status: 409, retryable: true };
const CONFLICT = { code: "ERR_CONFLICT", status: 409, retryable: true };

/** All that a session can be written with. */
const WRITES: readonly (readonly [what: string, write: (session: Session) => Promise<unknown>])[] = [
  [
    "save",
    (session) => {
      session.data["n"] = 2;
      return session.save();
    },
  ],
  ["update", (session) => session.update((data) => void (data["n"] = 2))],
  [
    "flash",
    (session) => {
      session.flash("info", "hello");
      return session.save();
    },
  ],
  [
    "setDuration",
    (session) => {
      session.setDuration("5m");
      return session.save();
    },
  ],
  ["rotate", (session) => session.rotate()],
  ["setRoles", (session) => session.setRoles(["admin"])],
  ["setExtra", (session) => session.setExtra({ theme: "dark" })],
  ["keepLogin", (session) => session.keepLogin("second")],
];

/** What others write to a session that is no matter of data. */
const HARMLESS = WRITES.filter(([what]) => !["save", "update", "keepLogin"].includes(what));

interface Scene extends LockStage {
  readonly clock: ManualClock;
  readonly token: string;
  readonly ours: Session;
  readonly theirs: Session;
}

/** A session that is old enough for another token, opened in both processes. */
async function scene(make: Parameters<typeof stage>[0], options: Parameters<typeof stage>[1] = {}): Promise<Scene> {
  const clock = manualClock();
  const staged = stage(make, { clock, ...options });
  const { token } = await staged.here.create({ userId: USER, stamp: "first", data: { n: 1, list: [1] } });
  clock.advance(MINUTE);
  const [ours, theirs] = [await opened(staged.here, token), await opened(staged.there, token)];
  return { ...staged, clock, token, ours, theirs };
}

/** Two processes that know nothing of each other's locks. */
async function apart(): Promise<Pick<Scene, "ours" | "theirs" | "there" | "token">> {
  const store = without(memoryStore(), "acquireLock");
  const keys = [generateKey()];
  const [here, there] = [manager({ store, keys }), manager({ store, keys })];
  const { token } = await here.create({ userId: USER, data: { n: 1 } });
  return { ours: await opened(here, token), theirs: await opened(there, token), there, token };
}

/** What there is to see of a session. */
async function seen(sessions: SessionManager, token: string): Promise<object> {
  const session = await opened(sessions, token);
  const { data, roles, extra, expiresAt, lastSeenAt } = session;
  return structuredClone({ data, roles, extra, expiresAt, lastSeenAt, flashes: session.flash("info") });
}

function isFree(session: Session): Promise<boolean> {
  return session.lock({ wait: 0 }, () => true);
}

describe.each(lockPairs)("under a session's lock on $name", ({ make }) => {
  it.each(WRITES)("%s writes only while the lock is held", async (_what, write) => {
    const { ours, calls } = await scene(make);
    await ours.lock(async () => {
      const before = calls.length;
      expect(await write(ours)).toBe("saved");
      const writes = calls.slice(before).filter((method) => method.startsWith("update"));
      expect(writes).toEqual(["updateUnderLock"]);
    });
  });

  it.each(WRITES)("%s writes nothing once the lock was lost", async (_what, write) => {
    const { ours, token, there, forget } = await scene(make);
    const before = await seen(there, token);
    const late = ours.lock(async () => {
      await forget();
      await write(ours);
    });
    await expect(late).rejects.toMatchObject(LOST);
    expect(await seen(there, token)).toEqual(before);
    expect(await isFree(await opened(there, token))).toBe(true);
  });

  it.each(WRITES)("%s leaves alone what the next holder of the lock wrote", async (_what, write) => {
    const { ours, theirs, token, there, forget } = await scene(make);
    const late = ours.lock(async () => {
      await forget();
      await theirs.lock(() => void (theirs.data["n"] = 50));
      await write(ours);
    });
    await expect(late).rejects.toSatisfy((error: { code: string }) => [LOST.code, CONFLICT.code].includes(error.code));
    expect(await seen(there, token)).toMatchObject({ data: { n: 50, list: [1] }, roles: [], extra: {}, flashes: [] });
  });

  it("what was changed is dropped when the lock was lost, and can be changed anew under the lock", async () => {
    const { ours, theirs, token, there, forget } = await scene(make);
    const late = ours.lock(async () => {
      ours.data["n"] = 2;
      await forget();
      await theirs.lock(() => void (theirs.data["n"] = 50));
    });
    await expect(late).rejects.toMatchObject({ status: 409, retryable: true });
    await ours.lock(() => void (ours.data["n"] = Number(ours.data["n"]) + 1));
    expect(await seen(there, token)).toMatchObject({ data: { n: 51 } });
  });

  it("a lock that was lost is told of also where there was nothing to write", async () => {
    const { ours, forget } = await scene(make);
    await expect(ours.lock(forget)).rejects.toMatchObject(LOST);
  });

  it("nothing is put on top of data that a request without the lock has written", async () => {
    const { ours, theirs, token, there } = await scene(make);
    const doomed = ours.lock(async () => {
      ours.data["mine"] = true;
      theirs.data["theirs"] = true;
      await theirs.save();
    });
    await expect(doomed).rejects.toMatchObject(CONFLICT);
    expect(await seen(there, token)).toMatchObject({ data: { n: 1, list: [1], theirs: true } });
    expect(await isFree(ours)).toBe(true);
    // Whoever tries again finds it.
    await ours.lock(() => void (ours.data["mine"] = true));
    expect(await seen(there, token)).toMatchObject({ data: { n: 1, list: [1], theirs: true, mine: true } });
  });

  it("an update is not run on data that a request without the lock has written", async () => {
    const { ours, theirs, token, there } = await scene(make);
    let runs = 0;
    const doomed = ours.lock(async () => {
      await theirs.update((data) => void (data["n"] = 50));
      await ours.update((data) => {
        runs++;
        data["n"] = Number(data["n"]) + 1;
      });
    });
    await expect(doomed).rejects.toMatchObject(CONFLICT);
    expect(runs).toBeLessThanOrEqual(1);
    expect(await seen(there, token)).toMatchObject({ data: { n: 50 } });
  });

  it("data of a request of this process is not put under ours either", async () => {
    const { ours, here, token, there } = await scene(make);
    const neighbour = await opened(here, token);
    const doomed = ours.lock(async () => {
      ours.data["mine"] = true;
      neighbour.data["theirs"] = true;
      await Promise.all([neighbour.save(), ours.save()]);
    });
    await expect(doomed).rejects.toMatchObject(CONFLICT);
    expect(await seen(there, token)).toMatchObject({ data: { n: 1, list: [1], theirs: true } });
  });

  it.each(HARMLESS)("it does no harm when a request without the lock calls %s meanwhile", async (what, write) => {
    const { ours, theirs, here, there, token } = await scene(make);
    await ours.lock(async () => {
      ours.data["n"] = 2;
      expect(await write(theirs)).toBe("saved");
    });
    const isTokenDead = what === "setRoles";
    const present = isTokenDead ? (theirs.takeToken() ?? "") : token;
    expect(await seen(there, present)).toMatchObject({ data: { n: 2, list: [1] } });
    expect((await opened(here, present)).data["n"]).toBe(2);
  });

  it("it does no harm when a request without the lock notes use meanwhile", async () => {
    const { ours, there, token, clock } = await scene(make);
    await ours.lock({ lease: "1d" }, async () => {
      ours.data["n"] = 2;
      clock.advance(30 * MINUTE);
      expect((await opened(there, token)).lastSeenAt).toBe(clock.now());
    });
    expect(await seen(there, token)).toMatchObject({ data: { n: 2 }, lastSeenAt: clock.now() });
  });

  it("what others changed while one waited for the lock is found, roles too", async () => {
    const { ours, theirs, there } = await scene(make);
    const lease = await theirs.lock();
    const found = ours.lock(() => {
      ours.data["n"] = Number(ours.data["n"]) + 1;
      return [...ours.roles];
    });
    await theirs.setRoles(["admin"]);
    await theirs.update((data) => void (data["n"] = 50));
    const token = theirs.takeToken() ?? "";
    await lease.release();
    expect(await found).toEqual(["admin"]);
    expect(await seen(there, token)).toMatchObject({ data: { n: 51 }, roles: ["admin"] });
  });

  it("with conflicts: 'strict', what others saved before is no conflict; what they save meanwhile is", async () => {
    const { ours, theirs, there, token } = await scene(make, { conflicts: "strict" });
    expect(ours.data["n"]).toBe(1);
    await theirs.update((data) => void (data["n"] = 50));
    await ours.lock(() => void (ours.data["n"] = Number(ours.data["n"]) + 1));
    expect(await seen(there, token)).toMatchObject({ data: { n: 51 } });
    const doomed = ours.lock(async () => {
      ours.data["mine"] = true;
      await theirs.update((data) => void (data["n"] = 60));
    });
    await expect(doomed).rejects.toMatchObject(CONFLICT);
    expect(await seen(there, token)).toMatchObject({ data: { n: 60, list: [1] } });
  });

  it("a write whose answer was lost is found, not made again", async () => {
    const { ours, there, token, meddle, calls } = await scene(make);
    meddle(losing("updateUnderLock"));
    await ours.lock(() => void (ours.data["n"] = 2));
    expect(calls.filter((method) => method === "updateUnderLock")).toHaveLength(1);
    expect(await seen(there, token)).toMatchObject({ data: { n: 2 } });
  });

  it("a write that fails is told of, and the lock is free", async () => {
    const { ours, there, token, meddle } = await scene(make);
    const before = await seen(there, token);
    meddle(failing("updateUnderLock"));
    const failed = ours.lock(() => void (ours.data["n"] = 2));
    await expect(failed).rejects.toMatchObject({ code: "ERR_STORE_UNAVAILABLE", status: 503 });
    meddle(honest);
    expect(await seen(there, token)).toEqual(before);
    expect(await isFree(await opened(there, token))).toBe(true);
  });

  it("a read that fails is told of, and the lock is free", async () => {
    const { ours, there, token, meddle } = await scene(make);
    meddle(failing("read"));
    let isRun = false;
    const failed = ours.lock(() => void (isRun = true));
    await expect(failed).rejects.toMatchObject({ code: "ERR_STORE_UNAVAILABLE" });
    expect(isRun).toBe(false);
    expect(await isFree(await opened(there, token))).toBe(true);
  });

  it("nothing holds up, or depends on, what is written to another session of the user", async () => {
    const { ours, here, there, calls, forget } = await scene(make);
    const { token } = await here.create({ userId: USER, data: { n: 1 } });
    const other = await opened(here, token);
    const lost = ours.lock(async () => {
      await forget();
      other.data["n"] = 2;
      const before = calls.length;
      expect(await other.save()).toBe("saved");
      expect(calls.slice(before)).toEqual(["update"]);
    });
    await expect(lost).rejects.toMatchObject(LOST);
    expect(await seen(there, token)).toMatchObject({ data: { n: 2 } });
  });
});

describe("under a session's lock in a store that cannot lock", () => {
  it("a count of another process is not lost: whoever is later is told", async () => {
    const { ours, theirs, there, token } = await apart();
    const doomed = ours.lock(async () => {
      ours.data["n"] = Number(ours.data["n"]) + 1;
      await theirs.lock(() => void (theirs.data["n"] = Number(theirs.data["n"]) + 1));
    });
    await expect(doomed).rejects.toMatchObject(CONFLICT);
    await ours.lock(() => void (ours.data["n"] = Number(ours.data["n"]) + 1));
    expect(await seen(there, token)).toMatchObject({ data: { n: 3 } });
  });

  it("it does no harm when another process changes what is no data", async () => {
    const { ours, theirs, there, token } = await apart();
    await ours.lock(async () => {
      ours.data["n"] = 2;
      await theirs.setExtra({ theme: "dark" });
    });
    expect(await seen(there, token)).toMatchObject({ data: { n: 2 }, extra: { theme: "dark" } });
  });
});
