/** What one request finds is never handed to another. */
import { createSessionManager, generateKey, isSymbolonError } from "symbolon";
import { memoryStore } from "symbolon/stores/memory";
import { describe, expect, it } from "vitest";
import { intercept } from "../support/stores.ts";

/** Numbers from 0 to below `most`, the same in every run. */
function numbers(seed: number): (most: number) => number {
  let state = seed;
  return (most) => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return Math.floor((state / 2 ** 32) * most);
  };
}

describe("20 000 requests of 200 users at once, over a store that answers out of order and fails now and then", () => {
  it("are each answered with their own user, role and data, or with a typed error", async () => {
    const next = numbers(20_260_101);
    const inner = memoryStore();
    let unruly = false;
    const store = intercept(inner, async (call) => {
      if (!unruly) return call.proceed();
      for (let turns = next(4); turns > 0; turns--) await new Promise((resolve) => setImmediate(resolve));
      if (next(50) === 0) throw new Error("The client failed.");
      return call.proceed();
    });
    const sessions = createSessionManager({ store, keys: [generateKey()], pruneEvery: false });
    const users = await Promise.all(
      Array.from({ length: 200 }, async (_, index) => {
        const [userId, role] = [`user-${index}`, `role-${index}`];
        const { token } = await sessions.create({ userId, roles: [role], data: { owner: userId, n: 0 } });
        return { userId, role, token, counted: 0 };
      }),
    );
    unruly = true;
    let [answered, failed] = [0, 0];
    const request = async (): Promise<void> => {
      const user = users[next(users.length)];
      if (user === undefined) throw new Error("There is no such user.");
      try {
        const session = await sessions.validate(user.token);
        expect(session).toMatchObject({ userId: user.userId, roles: [user.role], data: { owner: user.userId } });
        if (next(10) === 0) {
          await session?.update((data) => void (data["n"] = Number(data["n"]) + 1));
          user.counted++;
        }
        answered++;
      } catch (error) {
        if (!isSymbolonError(error)) throw error;
        failed++;
      }
    };
    for (let wave = 0; wave < 20; wave++) await Promise.all(Array.from({ length: 1000 }, request));
    unruly = false;
    expect(answered).toBeGreaterThan(15_000);
    expect(failed).toBeGreaterThan(100);
    for (const { userId, token, counted } of users) {
      expect((await sessions.validate(token))?.data).toEqual({ owner: userId, n: counted });
    }
  });
});
