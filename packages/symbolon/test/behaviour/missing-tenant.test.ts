import { createSessionManager, generateKey } from "symbolon";
import { memoryStore } from "symbolon/stores/memory";
import { describe, expect, it } from "vitest";

describe("a tenant that is missing by mistake", () => {
  it.each([null, undefined, ""])("ends and lists nothing: %j", async (missing) => {
    const sessions = createSessionManager({ store: memoryStore(), keys: [generateKey()], pruneEvery: false });
    const { token } = await sessions.create({ userId: "ann", tenant: "acme" });
    const tenant = missing as unknown as string;
    await expect(sessions.revokeTenant(tenant)).rejects.toMatchObject({ code: "ERR_OPTIONS_INVALID" });
    await expect(sessions.list({ tenant })).rejects.toMatchObject({ code: "ERR_OPTIONS_INVALID" });
    expect((await sessions.validate(token))?.tenant).toBe("acme");
  });
});
