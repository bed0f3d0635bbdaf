import { createSessionManager, generateKey } from "symbolon";
import { memoryStore } from "symbolon/stores/memory";
import { describe, expect, it } from "vitest";

describe("what requests share of a session", () => {
  it("cannot be changed by one of them for the others", async () => {
    const sessions = createSessionManager({ store: memoryStore(), keys: [generateKey()], pruneEvery: false });
    const extra = { plan: { name: "free" } };
    const { token, id } = await sessions.create({ userId: "ann", roles: ["user"], extra });
    extra.plan.name = "changed by the caller";
    for (let round = 0; round < 3; round++) {
      const session = await sessions.validate(token);
      const roles = session?.roles as string[];
      const plan = session?.extra["plan"] as { name: string };
      expect(() => roles.push("admin")).toThrow(TypeError);
      expect(() => void (plan.name = "gold")).toThrow(TypeError);
      expect(session?.roles).toEqual(["user"]);
      expect(session?.extra).toEqual({ plan: { name: "free" } });
    }
    const roles = ["editor"];
    await sessions.update("ann", id, { roles });
    roles.push("admin");
    expect((await sessions.validate(token))?.roles).toEqual(["editor"]);
  });
});
