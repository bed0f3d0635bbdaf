/** A store that was written against another copy of this package: its errors are of another class, and mean the same. */
import { createSessionManager, generateKey, type Store } from "symbolon";
import { memoryStore } from "symbolon/stores/memory";
import { describe, expect, it } from "vitest";
import { StoreUnavailableError } from "../../src/errors.ts";
import { intercept } from "../support/stores.ts";

/** Fails at one method, after its work is done or before; with the error class of the other copy. */
function failing(method: string, when: "before" | "after"): Store {
  let armed = true;
  return intercept(memoryStore(), (call) => {
    if (call.method !== method || !armed) return call.proceed();
    armed = false;
    if (when === "after") call.proceed();
    throw new StoreUnavailableError("The other copy says no.");
  });
}

describe("a store's error from another copy of the package", () => {
  it("is one of this copy to the application, with the store's own as its cause", async () => {
    const sessions = createSessionManager({
      store: failing("create", "before"),
      keys: [generateKey()],
      pruneEvery: false,
    });
    const error: unknown = await sessions.create().catch((thrown: unknown) => thrown);
    expect(error).toMatchObject({ code: "ERR_STORE_UNAVAILABLE", status: 503, retryable: true });
    expect(error).not.toBeInstanceOf(StoreUnavailableError);
    expect((error as Error).cause).toBeInstanceOf(StoreUnavailableError);
  });

  it("is a lost answer like any other, and settled", async () => {
    const sessions = createSessionManager({
      store: failing("update", "after"),
      keys: [generateKey()],
      pruneEvery: false,
    });
    const session = await sessions.create({ data: { n: 0 } });
    expect(await session.update((data) => void (data["n"] = Number(data["n"]) + 1))).toBe("saved");
    expect((await sessions.validate(session.token))?.data).toEqual({ n: 1 });
  });
});
