/** `openSession(…, { lock })`: a request that has its session's lock from before it reads until its response is decided. */
import { openSession, type OpenedSession, type OpenOptions, SessionEndedError, type SessionManager } from "symbolon";
import { type ManualClock, manualClock } from "symbolon/testing";
import { describe, expect, it } from "vitest";
import { wait } from "../support/delays.ts";
import { failing, honest, type LockStage, stage } from "../support/lock-stage.ts";
import { lockPairs } from "../support/lock-stores.ts";
import { opened, type Options } from "../support/sessions.ts";

const USER = "user-1";
const TAKEN = { code: "ERR_LOCK_TIMEOUT", status: 503 };
const LOST = { code: "ERR_LEASE_LOST", status: 409 };

type Opened = OpenedSession<Record<string, unknown>>;

interface Scene extends LockStage {
  readonly clock: ManualClock;
  readonly token: string;
  /** The calls from here since this was asked last. */
  readonly taken: () => string[];
}

async function scene(make: Parameters<typeof stage>[0], options: Options = {}): Promise<Scene> {
  const clock = manualClock();
  const staged = stage(make, { clock, ...options });
  const { token } = await staged.here.create({ userId: USER, data: { n: 0 } });
  let seen = staged.calls.length;
  return {
    ...staged,
    clock,
    token,
    taken() {
      const calls = staged.calls.slice(seen);
      seen = staged.calls.length;
      return calls;
    },
  };
}

function request(
  sessions: SessionManager,
  token: string | null,
  options: OpenOptions = { lock: true },
): Promise<Opened> {
  const headers = new Headers(token === null ? {} : { Cookie: `__Host-sid=${token}` });
  return openSession(sessions, headers, undefined, options);
}

/** A whole request, as a binding handles it. */
async function handle(
  sessions: SessionManager,
  token: string | null,
  work: (opened: Opened) => unknown,
  options?: OpenOptions,
): Promise<string[]> {
  const one = await request(sessions, token, options);
  try {
    await work(one);
    return one.needsCommit() ? await one.commit() : one.cookies();
  } catch (error) {
    one.discard();
    one.cookies();
    throw error;
  }
}

async function countUp({ session }: Opened): Promise<void> {
  const count = Number(session.data["n"]);
  await wait(2);
  session.data["n"] = count + 1;
}

async function dataOf(sessions: SessionManager, token: string): Promise<Record<string, unknown>> {
  return structuredClone((await opened(sessions, token)).data);
}

/** Whether somebody else can have the session's lock now; a release may be on its way. */
async function isFree(sessions: SessionManager, token: string): Promise<boolean> {
  await wait(5);
  try {
    await (await opened(sessions, token)).lock({ wait: 0 }, () => undefined);
    return true;
  } catch (error) {
    expect(error).toMatchObject(TAKEN);
    return false;
  }
}

describe.each(lockPairs)("a request with its session's lock, on $name", ({ make }) => {
  it("takes the lock, then reads; writes, then frees it", async () => {
    const { here, token, taken } = await scene(make);
    await handle(here, token, countUp);
    await wait(5);
    expect(taken()).toEqual(["acquireLock", "read", "updateUnderLock", "releaseLock"]);
    await handle(here, token, ({ session }) => session.data["n"]);
    await wait(5);
    expect(taken()).toEqual(["acquireLock", "read", "releaseLock"]);
  });

  it("asks the store nothing for a visitor, or for a token that proves nothing", async () => {
    const { here, there, token, taken } = await scene(make);
    const foreign = (await scene(make)).token;
    const forged = `${token.slice(0, -1)}${token.endsWith("A") ? "B" : "A"}`;
    for (const none of [
      null,
      "",
      "x",
      "s1_",
      forged,
      foreign,
      token.slice(0, 40),
      `${token}${token}`,
      `p1${token.slice(2)}`,
    ]) {
      await handle(here, none, ({ session }) => session.state);
      expect(taken()).toEqual([]);
    }
    const [cookie = ""] = await handle(here, forged, ({ session }) => void (session.data["n"] = 1));
    expect(taken()).toEqual(["create"]);
    expect(await dataOf(there, /(s1_[\w-]+)/.exec(cookie)?.[1] ?? "")).toEqual({ n: 1 });
  });

  it("takes no lock unless it is told", async () => {
    const { here, token, taken } = await scene(make);
    for (const options of [{}, { lock: false }]) {
      await handle(here, token, countUp, options);
      expect(taken()).toEqual(["read", "update"]);
    }
  });

  it("loses no count of others, and lets them in in the order in which they came", async () => {
    const { here, there, token } = await scene(make);
    const order: number[] = [];
    const asking = Array.from({ length: 20 }, (_, index) =>
      handle(here, token, async (one) => {
        order.push(index);
        await countUp(one);
      }),
    );
    const elsewhere = Array.from({ length: 20 }, () => handle(there, token, countUp));
    await Promise.all([...asking, ...elsewhere]);
    expect(order).toEqual(order.map((_, index) => index));
    expect(await dataOf(there, token)).toEqual({ n: 40 });
  });

  it("reads nothing while others have the lock, and is told when that takes too long", async () => {
    const { here, there, token, taken } = await scene(make);
    await using _lease = await (await opened(there, token)).lock();
    await expect(request(here, token, { lock: { wait: 0 } })).rejects.toMatchObject(TAKEN);
    expect(taken()).toEqual(["acquireLock"]);
  });

  it("frees the lock when the token opens no session any more", async () => {
    const { here, there, token, taken } = await scene(make);
    await there.revokeAll(USER);
    const { refusal, session } = await request(here, token);
    expect(refusal).toMatchObject({ reason: "ended" });
    expect(session.state).toBe("anonymous");
    expect(taken()).toEqual(["acquireLock", "read", "releaseLock"]);
  });

  it("frees the lock when the response is decided, whatever came before", async () => {
    const { here, there, token, meddle } = await scene(make);
    const endings: readonly (readonly [how: string, end: (opened: Opened) => unknown])[] = [
      ["nothing to write", (one) => one.cookies()],
      ["a commit", (one) => one.commit()],
      [
        "a handler that failed",
        (one) => {
          one.session.data["n"] = 100;
          one.discard();
          one.cookies();
        },
      ],
      [
        "a commit that failed",
        async (one) => {
          one.session.data["n"] = 100;
          meddle(failing("updateUnderLock"));
          await expect(one.commit()).rejects.toMatchObject({ status: 503 });
          meddle(honest);
          one.discard();
          one.cookies();
        },
      ],
    ];
    for (const [how, end] of endings) {
      const one = await request(here, token);
      expect(await isFree(there, token), how).toBe(false);
      await end(one);
      expect(await isFree(there, token), how).toBe(true);
    }
  });

  it("frees the lock when the session cannot be read", async () => {
    const { here, there, token, meddle } = await scene(make);
    meddle(failing("read"));
    await expect(request(here, token)).rejects.toMatchObject({ status: 503 });
    expect(await isFree(there, token)).toBe(true);
  });

  it("fails when the lock cannot be had because of the store, or goes on as anonymous does", async () => {
    for (const method of ["acquireLock", "read"]) {
      const { here, token, meddle } = await scene(make);
      meddle(failing(method));
      await expect(request(here, token)).rejects.toMatchObject({ code: "ERR_STORE_UNAVAILABLE" });
      const lenient = await scene(make, { onStoreFailure: "anonymous" });
      lenient.meddle(failing(method));
      const { session } = await request(lenient.here, lenient.token);
      expect(session.state).toBe("anonymous");
      session.data["n"] = 1;
      await expect(session.save()).rejects.toMatchObject({ code: "ERR_STORE_UNAVAILABLE" });
    }
  });

  it("runs what asks for the lock again at once, and saves it when it is done", async () => {
    const { here, there, token, taken } = await scene(make);
    await handle(here, token, async (one) => {
      const count = await one.session.lock({ wait: 0 }, async ({ isShared }) => {
        await countUp(one);
        return isShared;
      });
      expect(count).toBe(true);
      expect(taken()).toEqual(["acquireLock", "read", "updateUnderLock"]);
      expect(await dataOf(there, token)).toEqual({ n: 1 });
    });
    expect(await isFree(there, token)).toBe(true);
    expect(taken()).toEqual(["releaseLock"]);
  });

  it("drops what a function under the lock changed when that fails, and nothing else", async () => {
    const { here, there, token } = await scene(make);
    await handle(here, token, async ({ session }) => {
      session.data["before"] = true;
      const failed = session.lock(() => {
        session.data["n"] = 100;
        throw new Error("broken");
      });
      await expect(failed).rejects.toThrow("broken");
      session.data["after"] = true;
    });
    expect(await dataOf(there, token)).toEqual({ n: 0, before: true, after: true });
  });

  it("gives the lock that it has also to who holds it without a function", async () => {
    const { here, there, token } = await scene(make);
    await handle(here, token, async (one) => {
      {
        await using lease = await one.session.lock({ wait: 0 });
        expect(lease.isShared).toBe(true);
        await countUp(one);
        expect(await one.session.save()).toBe("saved");
      }
      expect(await isFree(there, token)).toBe(false);
    });
    expect(await dataOf(there, token)).toEqual({ n: 1 });
    expect(await isFree(there, token)).toBe(true);
  });

  it("writes nothing when the lock was lost meanwhile", async () => {
    const { here, there, token, forget } = await scene(make);
    const late = handle(here, token, async (one) => {
      await countUp(one);
      await forget();
      await handle(there, token, ({ session }) => void (session.data["n"] = 50));
    });
    await expect(late).rejects.toSatisfy(({ status }) => status === 409);
    expect(await dataOf(there, token)).toEqual({ n: 50 });
    const lost = handle(here, token, async (one) => {
      await countUp(one);
      await forget();
    });
    await expect(lost).rejects.toMatchObject(LOST);
  });

  it("saves what changed after the response was decided as a request without the lock does", async () => {
    const { here, there, token, taken } = await scene(make);
    const streaming = await request(here, token);
    streaming.cookies();
    await wait(5);
    streaming.session.data["streamed"] = true;
    await handle(there, token, countUp);
    expect(streaming.needsLateCommit()).toBe(true);
    await streaming.commitLate();
    expect(await dataOf(there, token)).toEqual({ n: 1, streamed: true });
    expect(taken().slice(0, 3)).toEqual(["acquireLock", "read", "releaseLock"]);
  });

  it("takes the lock later, too, with one read more, and once", async () => {
    const { here, there, token, taken } = await scene(make);
    const one = await request(here, token, {});
    await handle(there, token, countUp);
    await one.lock({});
    await one.lock({ wait: 0 });
    expect(taken()).toEqual(["read", "acquireLock", "read"]);
    await countUp(one);
    await one.commit();
    expect(await dataOf(there, token)).toEqual({ n: 2 });
    expect(await isFree(there, token)).toBe(true);
    const visitor = await request(here, null, {});
    await visitor.lock({});
    expect(visitor.session.state).toBe("anonymous");
    const late = await request(here, token, {});
    await there.revokeAll(USER);
    await expect(late.lock({})).rejects.toBeInstanceOf(SessionEndedError);
  });

  it("lets its user log in and out, and frees what was locked", async () => {
    const { here, token, taken } = await scene(make);
    const [cookie = ""] = await handle(here, token, ({ session }) => session.login("user-2"));
    const next = /(s1_[\w-]+)/.exec(cookie)?.[1] ?? "";
    await wait(5);
    expect(taken().filter((method) => method.endsWith("Lock"))).toEqual(["acquireLock", "releaseLock"]);
    const [cleared] = await handle(here, next, ({ session }) => session.logout());
    expect(cleared).toMatch(/Max-Age=0/);
    await wait(5);
    expect(taken().filter((method) => method.endsWith("Lock"))).toEqual(["acquireLock", "releaseLock"]);
  });

  it("replaces a token that is due under the lock, with the data", async () => {
    const { here, there, token, taken, clock } = await scene(make);
    clock.advance(20 * 60_000);
    taken();
    const [cookie = ""] = await handle(here, token, countUp);
    await wait(5);
    expect(taken()).toEqual(["acquireLock", "read", "updateUnderLock", "releaseLock"]);
    const next = /(s1_[\w-]+)/.exec(cookie)?.[1] ?? "";
    expect(next).not.toBe(token);
    expect(await dataOf(there, next)).toEqual({ n: 1 });
  });

  it("does not fail for what others changed while it only read", async () => {
    const { here, there, token, clock } = await scene(make);
    clock.advance(20 * 60_000);
    await handle(here, token, async ({ session }) => {
      expect(session.data["n"]).toBe(0);
      await (await opened(there, token)).update((data) => void (data["n"] = 50));
    });
    expect(await dataOf(there, token)).toEqual({ n: 50 });
  });
});
