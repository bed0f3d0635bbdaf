/** `sessions.lock`: who has a lock, who waits, and what is refused. */
import { generateKey, type Lease, LockTimeoutError, OptionsError, type SessionManager, type Store } from "symbolon";
import { describe, expect, it, onTestFinished } from "vitest";
import { wait } from "../support/delays.ts";
import { lockPairs, lockStores, Room } from "../support/lock-stores.ts";
import { manager, type Options, untyped } from "../support/sessions.ts";
import { intercept, spied } from "../support/stores.ts";

const TAKEN = { code: "ERR_LOCK_TIMEOUT", status: 503, retryable: true };

function managerOn(store: Store, options: Options = {}): SessionManager {
  const sessions = manager({ store, ...options });
  onTestFinished(() => sessions.close());
  return sessions;
}

/** Two processes on one storage. */
function twoOn(stores: readonly [Store, Store]): readonly [SessionManager, SessionManager] {
  const keys = [generateKey()];
  return [managerOn(stores[0], { keys }), managerOn(stores[1], { keys })];
}

/** The numbers, if each is greater than those before. */
function rising(numbers: readonly number[]): readonly number[] {
  return [...new Set(numbers)].toSorted((one, other) => one - other);
}

describe.each(lockStores)("a lock on $name", ({ make, isShared }) => {
  it("runs a function, passes on its result, and tells it of the lease", async () => {
    const sessions = managerOn(make());
    let held: Lease | null = null;
    const result = await sessions.lock("a", async (lease) => {
      held = lease;
      expect(lease.signal.aborted).toBe(false);
      return "done";
    });
    expect(result).toBe("done");
    expect(held).toMatchObject({ isShared });
    expect(held).toHaveProperty(
      "fence",
      expect.toSatisfy((fence) => Number.isSafeInteger(fence) && fence > 0),
    );
    expect(await sessions.lock("a", { wait: 0 }, () => "at once")).toBe("at once");
  });

  it("passes on what the function throws, and is free then", async () => {
    const sessions = managerOn(make());
    const broken = new Error("broken");
    await expect(sessions.lock("a", () => Promise.reject(broken))).rejects.toBe(broken);
    const throwing = sessions.lock("a", { wait: 0 }, () => {
      throw broken;
    });
    await expect(throwing).rejects.toBe(broken);
    await sessions.lock("a", { wait: 0 }, () => undefined);
  });

  it("lets one in at a time", async () => {
    const sessions = managerOn(make());
    const room = new Room();
    await Promise.all(Array.from({ length: 50 }, () => sessions.lock("a", () => room.enter())));
    expect([room.most, room.count]).toEqual([1, 50]);
  });

  it("lets in who asked first, with a greater fence than all before", async () => {
    const sessions = managerOn(make());
    const order: number[] = [];
    const fences: number[] = [];
    const asking = Array.from({ length: 20 }, (_, index) =>
      sessions.lock("a", async ({ fence }) => {
        order.push(index);
        fences.push(fence);
        await wait(1);
      }),
    );
    await Promise.all(asking);
    expect(order).toEqual(Array.from({ length: 20 }, (_, index) => index));
    expect(fences).toEqual(rising(fences));
  });

  it("is held until it is released, where no function is given", async () => {
    const sessions = managerOn(make());
    const lease = await sessions.lock("a");
    await expect(sessions.lock("a", { wait: 0 })).rejects.toMatchObject(TAKEN);
    await lease.release();
    {
      await using again = await sessions.lock("a", { wait: 0 });
      expect(again.fence).toBeGreaterThan(lease.fence);
      await expect(sessions.lock("a", { wait: 0 })).rejects.toMatchObject(TAKEN);
    }
    await (await sessions.lock("a", { wait: 0 })).release();
  });

  it("is released once: doing so again takes it from nobody", async () => {
    const { store, calls } = spied(make());
    const sessions = managerOn(store);
    const lease = await sessions.lock("a");
    await lease.release();
    const releases = calls.filter((method) => method === "releaseLock").length;
    await using next = await sessions.lock("a", { wait: 0 });
    await lease.release();
    await lease[Symbol.asyncDispose]();
    expect(next.signal.aborted).toBe(false);
    expect(calls.filter((method) => method === "releaseLock")).toHaveLength(releases);
    await expect(sessions.lock("a", { wait: 0 })).rejects.toMatchObject(TAKEN);
  });

  it("is tried once with a wait of 0; then nothing is run", async () => {
    const { store, calls } = spied(make());
    const sessions = managerOn(store);
    await using _lease = await sessions.lock("a");
    const asked = calls.length;
    let isRun = false;
    const late = sessions.lock("a", { wait: 0 }, () => void (isRun = true));
    await expect(late).rejects.toBeInstanceOf(LockTimeoutError);
    expect(isRun).toBe(false);
    expect(calls.length - asked).toBeLessThanOrEqual(1);
  });

  it("does not keep those waiting who want another", async () => {
    const sessions = managerOn(make());
    await using _one = await sessions.lock("a");
    await using _other = await sessions.lock("b", { wait: 0 });
    // Not the same in other letters either.
    await using _third = await sessions.lock("A", { wait: 0 });
  });

  it("does not meet the lock of a session, whatever it is called", async () => {
    const sessions = managerOn(make());
    const { id, token } = await sessions.create({ userId: "ann", data: { n: 1 } });
    const session = await sessions.validate(token);
    await session?.lock(async () => {
      for (const name of [id, token, "ann", `lock/${id}`, `session/${id}`]) {
        await sessions.lock(name, { wait: 0 }, () => undefined);
      }
    });
  });

  it("does not meet one of another namespace", async () => {
    const store = make();
    const keys = [generateKey()];
    const [ours, theirs] = [managerOn(store, { keys }), managerOn(store, { keys, namespace: "other" })];
    await using _ours = await ours.lock("a");
    await using _theirs = await theirs.lock("a", { wait: 0 });
  });

  const WRONG: readonly (readonly [options: object, message: RegExp])[] = [
    [{ lease: 99 }, /^lock\.lease: at least 100 ms\.$/],
    [{ lease: "0s" }, /^lock\.lease: .*'30m'/],
    [{ lease: "a while" }, /^lock\.lease: .*'30m'/],
    [{ wait: -1 }, /^lock\.wait: .*'30m'/],
    [{ wait: 1.5 }, /^lock\.wait: .*'30m'/],
    [{ wait: Infinity }, /^lock\.wait: .*'30m'/],
    [{ wait: "500 days" }, /^lock\.wait: .*'30m'/],
    // Timers wait no longer: they would end at once.
    [{ lease: "25d" }, /^lock\.lease: at most 24 days\.$/],
    [{ wait: 2 ** 31 }, /^lock\.wait: at most 24 days\.$/],
    [{ ttl: 10 }, /^lock\.ttl: there is no such option; the options are wait, lease\.$/],
  ];

  it.each(WRONG)("refuses %o, and says what to write", async (options, message) => {
    const { store, calls } = spied(make());
    const sessions = managerOn(store);
    await expect(untyped(sessions, "lock", "a", options)).rejects.toThrow(OptionsError);
    await expect(untyped(sessions, "lock", "a", options)).rejects.toThrow(message);
    expect(calls).toEqual([]);
    await sessions.lock("a", { wait: 0 }, () => undefined);
  });

  it.each([
    ["empty", ""],
    ["too long", "n".repeat(513)],
    ["half a character", "\uD800"],
    ["no text", 1],
    ["none", undefined],
  ])("refuses a name that is %s", async (_what, name) => {
    const { store, calls } = spied(make());
    await expect(untyped(managerOn(store), "lock", name)).rejects.toThrow(/^lock\.name: .*1 to 512 characters/);
    expect(calls).toEqual([]);
  });

  it("takes any name of well-formed text", async () => {
    const sessions = managerOn(make());
    const names = ["n", "n".repeat(512), "name with / and : and \0", "Größe 😀", "__proto__"];
    const leases = await Promise.all(names.map((name) => sessions.lock(name, { wait: 0 })));
    await Promise.all(leases.map((lease) => lease.release()));
  });

  it("tells the store nothing of its name, but a digest that depends on the manager's key", async () => {
    const told: string[] = [];
    const store = intercept(make(), (call) => {
      const [key] = call.args as readonly [{ readonly lock: string }];
      told.push(key.lock);
      return call.proceed();
    });
    for (let time = 0; time < 2; time++) {
      await managerOn(store).lock("migrate", { wait: 0 }, () => undefined);
    }
    expect(told).toHaveLength(isShared ? 4 : 0);
    expect(new Set(told).size).toBe(isShared ? 2 : 0);
    for (const text of told) expect(text).toMatch(/^[\w-]{43}$/);
  });

  it("goes on to the next when one who waits for it is told that its time is over", async () => {
    const sessions = managerOn(make());
    const first = await sessions.lock("a");
    const waiting = sessions.lock("a", { wait: 20 }, () => "too early");
    const last = sessions.lock("a", () => "served");
    await expect(waiting).rejects.toMatchObject(TAKEN);
    await first.release();
    expect(await last).toBe("served");
  });
});

describe.each(lockPairs)("a lock on $name, of two processes", ({ make }) => {
  it("is one for both", async () => {
    const [one, other] = twoOn(make());
    const lease = await one.lock("a");
    expect(lease.isShared).toBe(true);
    await expect(other.lock("a", { wait: 0 })).rejects.toMatchObject(TAKEN);
    const waiting = other.lock("a", ({ fence }) => fence);
    await lease.release();
    expect(await waiting).toBeGreaterThan(lease.fence);
  });

  it("lets one in at a time, all after all", async () => {
    const managers = twoOn(make());
    const room = new Room();
    const fences: number[] = [];
    const ask = (sessions: SessionManager): Promise<void> =>
      sessions.lock("a", async ({ fence }) => {
        fences.push(fence);
        await room.enter();
      });
    await Promise.all(Array.from({ length: 20 }, () => managers.map(ask)).flat());
    expect([room.most, room.count]).toEqual([1, 40]);
    expect(fences).toEqual(rising(fences));
  });
});
