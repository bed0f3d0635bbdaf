/** Holders of a lock that die or stand still, on every kind of store that locks: the lock outlives them by its lease. */
import { once } from "node:events";
import { expect, onTestFinished, test } from "vitest";
import { describeEvery, type NamedVariant } from "../support/every-variant.ts";
import { startWorker } from "../support/workers.ts";
import { type Crew, lockVariants, startCrew } from "./lock-crew.ts";

const LEASE = 1000;
/** Many leases, for a machine that is busy. */
const PATIENCE = LEASE * 25;
const LONG = "5m";
const LOST = { code: "ERR_LEASE_LOST" };

async function crewOf(variant: NamedVariant, size: number): Promise<Crew> {
  const crew = await startCrew(variant, size);
  onTestFinished(crew.end);
  return crew;
}

describeEvery("a lock", "lock", register, lockVariants);

function register(variant: NamedVariant): void {
  test("is free when its holder was killed and its lease is over; the next has a greater fence", async () => {
    const { holders } = await crewOf(variant, 2);
    const [holder, waiter] = [holders[0]!, holders[1]!];
    const { fence = 0 } = await holder.ask("hold", { name: "a", lease: LEASE });
    waiter.order("hold", { name: "a", lease: LONG, wait: PATIENCE });
    await waiter.says("waiting");
    holder.signal("SIGKILL");
    const next = await waiter.answer();
    expect(next).toMatchObject({ isShared: true });
    expect(next.fence).toBeGreaterThan(fence);
    expect(await waiter.ask("release")).toEqual({});
  }, 120_000);

  test("of a session is free when its holder was killed, and nothing of it is left", async () => {
    const { holders, sessions } = await crewOf(variant, 1);
    const { token } = await sessions.create({ userId: "user-1", data: { n: 1 } });
    holders[0]!.order("count", { token, lease: LEASE });
    await holders[0]!.says("inside");
    holders[0]!.signal("SIGKILL");
    const session = await sessions.validate(token);
    await session?.lock({ lease: LONG, wait: PATIENCE }, () => void (session.data["n"] = 50));
    expect((await sessions.validate(token))?.data).toEqual({ n: 50 });
  }, 120_000);

  test("is lost to a holder that stood still for longer, who is told so and takes it from nobody", async () => {
    const { holders, sessions } = await crewOf(variant, 2);
    const [still, next] = [holders[0]!, holders[1]!];
    const { fence = 0 } = await still.ask("hold", { name: "a", lease: LEASE });
    still.signal("SIGSTOP");
    const taken = await next.ask("hold", { name: "a", lease: LONG, wait: PATIENCE });
    expect(taken.fence).toBeGreaterThan(fence);
    still.signal("SIGCONT");
    expect(await still.ask("lose")).toEqual(LOST);
    expect(await still.ask("release")).toEqual(LOST);
    await expect(sessions.lock("a", { wait: 0 })).rejects.toMatchObject({ code: "ERR_LOCK_TIMEOUT" });
    expect(await next.ask("release")).toEqual({});
    await sessions.lock("a", { wait: 0 }, () => undefined);
  }, 120_000);

  test("of a session is lost to who stood still for longer: what it saves then is refused, the other's stands", async () => {
    const { holders, sessions } = await crewOf(variant, 1);
    const still = holders[0]!;
    const { token } = await sessions.create({ userId: "user-1", data: { n: 1 } });
    still.order("count", { token, lease: LEASE });
    await still.says("inside");
    still.signal("SIGSTOP");
    const session = await sessions.validate(token);
    await session?.lock({ lease: LONG, wait: PATIENCE }, async () => {
      session.data["n"] = 50;
      await session.save();
      still.signal("SIGCONT");
      still.tell("go on");
      expect(await still.answer()).toEqual(LOST);
    });
    expect((await sessions.validate(token))?.data).toEqual({ n: 50 });
  }, 120_000);

  test("goes on to who waits behind one that was killed, in its process or in another", async () => {
    const { holders } = await crewOf(variant, 3);
    const [holder, killed, last] = [holders[0]!, holders[1]!, holders[2]!];
    await holder.ask("hold", { name: "a", lease: LONG });
    // Should it die with the lock in its hands, that is free after a lease, too.
    killed.order("hold", { name: "a", lease: LEASE, wait: LONG });
    last.order("hold", { name: "a", lease: LONG, wait: LONG });
    for (const waiter of [killed, last]) await waiter.says("waiting");
    killed.signal("SIGKILL");
    await holder.ask("release");
    expect(await last.answer()).toMatchObject({ isShared: true });
    expect(await last.ask("release")).toEqual({});
  }, 120_000);
}

test("A lock that is held keeps no process alive", async () => {
  const { worker, nextLine } = await startWorker("lock-leaving.mjs");
  const ended = once(worker, "exit");
  expect(await nextLine()).toBe("held");
  expect(await ended).toEqual([0, null]);
});
