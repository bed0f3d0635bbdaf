/** How long a lock is somebody's: renewed while its holder lives, free when it died, and what is said when it was lost. */
import { LeaseLostError, type SessionManager } from "symbolon";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { gate } from "../support/delays.ts";
import { failing, hanging, honest, losing, stage, STORE_TIMEOUT } from "../support/lock-stage.ts";
import { lockPairs } from "../support/lock-stores.ts";

const LEASE = 1000;
/** Where nobody tells of a release, it is found by then. */
const ONE_LOOK = 31;
const LOST = { code: "ERR_LEASE_LOST", status: 409, retryable: true };
const TAKEN = { code: "ERR_LOCK_TIMEOUT" };

beforeEach(() => {
  vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout", "performance", "Date"] });
});

afterEach(() => {
  vi.useRealTimers();
});

async function pass(ms = 0): Promise<void> {
  await vi.advanceTimersByTimeAsync(ms);
}

/** What a promise has come to, as far as is known. */
function watched(promise: Promise<unknown>): { readonly isOver: () => boolean; readonly error: () => unknown } {
  let isOver = false;
  let error: unknown = null;
  promise
    .catch((thrown: unknown) => (error = thrown))
    .finally(() => {
      isOver = true;
    });
  return { isOver: () => isOver, error: () => error };
}

async function isFree(sessions: SessionManager): Promise<boolean> {
  try {
    await (await sessions.lock("a", { wait: 0 })).release();
    return true;
  } catch (error) {
    expect(error).toMatchObject(TAKEN);
    return false;
  }
}

describe.each(lockPairs)("the lease of a lock on $name", ({ make }) => {
  it("is renewed while it is held, for as long as that is", async () => {
    const { here, there, calls } = stage(make);
    const lease = await here.lock("a", { lease: LEASE });
    for (let time = 0; time < 100; time++) {
      await pass(LEASE / 10);
      expect(await isFree(there)).toBe(false);
    }
    expect(lease.signal.aborted).toBe(false);
    // Three times a lease, and no more.
    expect(calls.filter((method) => method === "renewLock")).toHaveLength(30);
    await lease.release();
    expect(await isFree(there)).toBe(true);
    expect(vi.getTimerCount()).toBe(0);
  });

  it("ends by itself when its holder does not renew it, and not before; the next has a greater fence", async () => {
    const { here, there, meddle } = stage(make);
    meddle(hanging("renewLock"));
    const lease = await here.lock("a", { lease: LEASE });
    const waiting = there.lock("a");
    const waited = watched(waiting);
    await pass(LEASE - 1);
    expect(waited.isOver()).toBe(false);
    await pass(1 + ONE_LOOK);
    expect(waited.isOver()).toBe(true);
    expect((await waiting).fence).toBeGreaterThan(lease.fence);
  });

  it("survives that the store failed once in a while", async () => {
    const { here, there, meddle } = stage(make);
    const lease = await here.lock("a", { lease: LEASE });
    for (let time = 0; time < 5; time++) {
      meddle(failing("renewLock", 1));
      await pass(LEASE * 0.9);
      expect(await isFree(there)).toBe(false);
    }
    expect(lease.signal.aborted).toBe(false);
    await lease.release();
  });

  it("is known to be lost when the store has failed for as long as it was", async () => {
    const { here, there, meddle } = stage(make);
    const lease = await here.lock("a", { lease: LEASE });
    meddle(failing("renewLock"));
    await pass(LEASE - 1);
    expect(lease.signal.aborted).toBe(false);
    await pass(1);
    expect(lease.signal.aborted).toBe(true);
    expect(lease.signal.reason).toBeInstanceOf(LeaseLostError);
    expect(await isFree(there)).toBe(true);
    await expect(lease.release()).rejects.toMatchObject(LOST);
  });

  it("is known to be lost by then also while the store hangs, however long one waits for that", async () => {
    const { here, there, meddle } = stage(make);
    const lease = await here.lock("a", { lease: LEASE });
    meddle(hanging("renewLock"));
    await pass(LEASE - 1);
    expect(lease.signal.aborted).toBe(false);
    await pass(1);
    expect(lease.signal.aborted).toBe(true);
    expect(await isFree(there)).toBe(true);
    await pass(STORE_TIMEOUT * 2);
    meddle(honest);
    await expect(lease.release()).rejects.toMatchObject(LOST);
    expect(vi.getTimerCount()).toBe(0);
  });

  it("is not kept up any more once it is known to be lost, though the store says late that it was renewed", async () => {
    const { here, there, meddle } = stage(make);
    const lease = await here.lock("a", { lease: LEASE });
    const late = gate();
    const failsOnce = failing("renewLock", 1);
    meddle(async (call) => {
      const answer = await failsOnce(call);
      if (call.method === "renewLock") await late.passed;
      return answer;
    });
    await pass(LEASE);
    expect(lease.signal.aborted).toBe(true);
    late.open();
    await pass(LEASE);
    expect(await isFree(there)).toBe(true);
    await expect(lease.release()).rejects.toMatchObject(LOST);
  });

  it("is known to be lost with the next renewal when the storage lost it; nobody is put out of it then", async () => {
    const { here, there, forget } = stage(make);
    const lease = await here.lock("a", { lease: LEASE });
    const told: unknown[] = [];
    lease.signal.addEventListener("abort", () => told.push(lease.signal.reason));
    await forget();
    await using next = await there.lock("a", { lease: LEASE, wait: 0 });
    await pass(LEASE / 2);
    expect(told).toEqual([expect.any(LeaseLostError)]);
    await expect(lease.release()).rejects.toMatchObject(LOST);
    await lease.release();
    expect(told).toHaveLength(1);
    expect(await isFree(here)).toBe(false);
    await pass(LEASE * 3);
    expect(await isFree(here)).toBe(false);
    expect(next.signal.aborted).toBe(false);
  });

  it("that was lost is told of once the function is done, unless that says something itself", async () => {
    const { here, forget } = stage(make);
    const run = here.lock("a", { lease: LEASE }, async () => {
      await forget();
      return "done all the same";
    });
    await expect(run).rejects.toMatchObject(LOST);
    const broken = new Error("broken");
    const failed = here.lock("a", { lease: LEASE }, async () => {
      await forget();
      throw broken;
    });
    await expect(failed).rejects.toBe(broken);
    expect(await isFree(here)).toBe(true);
  });

  it("was held to the end when only the release failed; then it ends by itself", async () => {
    const { here, there, meddle } = stage(make);
    meddle(failing("releaseLock"));
    expect(await here.lock("a", { lease: LEASE }, () => "done")).toBe("done");
    expect(await isFree(there)).toBe(false);
    await pass(LEASE - 1);
    expect(await isFree(there)).toBe(false);
    await pass(1);
    expect(await isFree(there)).toBe(true);
    // The timer that all store calls share goes off once more, and finds none.
    await pass(STORE_TIMEOUT);
    expect(vi.getTimerCount()).toBe(0);
  });

  it("was held to the end also when it took longer than that to find out that the release failed", async () => {
    const { here, meddle } = stage(make);
    meddle(hanging("releaseLock"));
    const running = here.lock("a", { lease: LEASE }, () => "done");
    const done = watched(running);
    await pass(STORE_TIMEOUT - 1);
    expect(done.isOver()).toBe(false);
    await pass(1);
    expect(await running).toBe("done");
  });

  it("was not held to the end when it was over before the release failed", async () => {
    const { here, meddle } = stage(make);
    meddle(async (call) => {
      if (call.method === "acquireLock") return call.proceed();
      throw new Error("The server is away.");
    });
    const lease = await here.lock("a", { lease: LEASE });
    await pass(LEASE);
    await expect(lease.release()).rejects.toMatchObject(LOST);
  });

  it("goes on to the next in the process once it is known to be lost, though its holder never lets go", async () => {
    const { here, forget } = stage(make);
    const stuck = await here.lock("a", { lease: LEASE });
    const next = watched(here.lock("a", () => undefined));
    await forget();
    await pass();
    expect(next.isOver()).toBe(false);
    await pass(LEASE / 2);
    expect([next.isOver(), next.error()]).toEqual([true, null]);
    await expect(stuck.release()).rejects.toMatchObject(LOST);
  });

  it("goes on to the next in the process, whether it was lost, or its release failed", async () => {
    const { here, forget, meddle } = stage(make);
    const first = await here.lock("a", { lease: LEASE });
    await forget();
    const second = here.lock("a", { lease: LEASE });
    await expect(first.release()).rejects.toMatchObject(LOST);
    meddle(failing("releaseLock"));
    const lease = await second;
    await lease.release();
    meddle(honest);
    const third = watched(here.lock("a"));
    await pass(LEASE + ONE_LOOK);
    expect([third.isOver(), third.error()]).toEqual([true, null]);
  });
});

describe.each(lockPairs)("who asks for a lock on $name", ({ make }) => {
  it("waits for as long as it said, and then is told", async () => {
    const { here, there } = stage(make);
    await using _lease = await there.lock("a");
    let isRun = false;
    const late = watched(here.lock("a", { wait: 5000 }, () => void (isRun = true)));
    await pass(4999);
    expect(late.isOver()).toBe(false);
    await pass(1);
    expect(late.error()).toMatchObject(TAKEN);
    await pass(60_000);
    expect(isRun).toBe(false);
  });

  it("waits that long in all, in this process and for others", async () => {
    const { here, there } = stage(make);
    await using _lease = await there.lock("a");
    const first = watched(here.lock("a", { wait: 3000 }));
    const second = watched(here.lock("a", { wait: 5000 }));
    await pass(3000);
    expect(first.error()).toMatchObject(TAKEN);
    await pass(1999);
    expect(second.isOver()).toBe(false);
    await pass(1);
    expect(second.error()).toMatchObject(TAKEN);
  });

  it("is told when the store fails, and holds up nobody", async () => {
    const { here, meddle } = stage(make);
    meddle(failing("acquireLock", 1));
    const failed = here.lock("a");
    const next = here.lock("a", { wait: 1000 }, () => "served");
    await expect(failed).rejects.toMatchObject({ code: "ERR_STORE_UNAVAILABLE", status: 503 });
    await pass(ONE_LOOK);
    expect(await next).toBe("served");
  });

  it("gives back what it may have got when the answer was lost", async () => {
    const { here, there, meddle, calls } = stage(make);
    meddle(losing("acquireLock"));
    await expect(here.lock("a", { lease: "1h" })).rejects.toMatchObject({ code: "ERR_STORE_UNAVAILABLE" });
    await pass();
    expect(calls).toEqual(["acquireLock", "releaseLock"]);
    expect(await isFree(there)).toBe(true);
  });

  it("leaves the lock to the end of its lease where it cannot be given back either", async () => {
    const { here, there, meddle } = stage(make);
    const lost = losing("acquireLock");
    meddle(async (call) => (call.method === "releaseLock" ? failing("releaseLock")(call) : lost(call)));
    await expect(here.lock("a", { lease: LEASE })).rejects.toMatchObject({ code: "ERR_STORE_UNAVAILABLE" });
    await pass(LEASE - 1);
    expect(await isFree(there)).toBe(false);
    await pass(1);
    expect(await isFree(there)).toBe(true);
  });

  it("is told when the store does not answer, and the next is served when it does", async () => {
    const { here, meddle } = stage(make);
    meddle(hanging("acquireLock"));
    const failed = watched(here.lock("a"));
    const next = watched(here.lock("a"));
    await pass(STORE_TIMEOUT - 1);
    meddle(honest);
    await pass(1);
    expect(failed.error()).toMatchObject({ code: "ERR_STORE_TIMEOUT" });
    await pass(ONE_LOOK);
    expect([next.isOver(), next.error()]).toEqual([true, null]);
  });
});
