import { readFileSync } from "node:fs";
import { afterEach, describe, expect, it } from "vitest";
import { DataCodec } from "../../src/core/data-codec.ts";
import { decodeData } from "../../src/core/data.ts";
import { engineOf } from "../../src/core/manager.ts";
import { isSymbolonError } from "../../src/errors.ts";
import { createSessionManager, generateKey, type SessionManager } from "../../src/index.ts";
import { memoryStore } from "../../src/stores/memory.ts";

interface Case {
  readonly name: string;
  readonly text: string;
  readonly expect: string;
}

const file = new URL("../vectors/session-data-hostile.json", import.meta.url);
const { cases } = JSON.parse(readFileSync(file, "utf8")) as { cases: readonly Case[] };

const BOUNDS = { bytes: 65_536, depth: 32, keys: 1000 };
const REFUSED = ["proto", "constructor-prototype", "nested-proto", "big-number"];
const isRefused = (entry: Case): boolean => entry.expect === "reject" || REFUSED.includes(entry.name);

function manager(): SessionManager {
  return createSessionManager({ store: memoryStore(), keys: [generateKey()], pruneEvery: false });
}

/** Stores a text as session data with everything in order but the text itself. */
async function storedAs(sessions: SessionManager, text: string): Promise<string> {
  const engine = engineOf(sessions);
  const session = await sessions.create({ userId: "user-1" });
  const opened = await engine.open(session.token, null);
  if (!opened.ok) throw new Error("The session does not open.");
  await engine.write(opened.snapshot, ({ record, envelope }) => {
    const secret = Buffer.from(session.token.slice(3), "base64url").subarray(21, 53);
    return engine.vault.sealData(record.lookup, envelope, text, { key: null, secret, seal: "split" });
  });
  return session.token;
}

function expectNoPollution(): void {
  const empty = {} as Record<string, unknown>;
  expect(empty["isAdmin"]).toBeUndefined();
  expect(Object.keys(Object.prototype)).toEqual([]);
}

afterEach(expectNoPollution);

describe("hostile text found in the store", () => {
  it.each(cases)("$name: is null to the decoder, or exactly what JSON says", (entry) => {
    const data = decodeData(entry.text, BOUNDS);
    if (isRefused(entry)) expect(data).toBeNull();
    else expect(data).toEqual(JSON.parse(entry.text));
  });

  it.each(cases)("$name: is a typed error of session.data, or opens, and the session stays", async (entry) => {
    const sessions = manager();
    const token = await storedAs(sessions, entry.text);
    const session = await sessions.validate(token);
    expect(session).toMatchObject({ userId: "user-1", state: "authenticated" });
    if (isRefused(entry)) {
      expect(() => session?.data).toThrowError(expect.objectContaining({ code: "ERR_DATA_INVALID" }) as Error);
    } else {
      expect(session?.data).toEqual(JSON.parse(entry.text));
      expect(await Promise.resolve(session?.data)).toEqual(JSON.parse(entry.text));
      // What is not in our spelling may be written anew, in it.
      expect(["saved", "unchanged"]).toContain(await session?.save());
      expect((await sessions.validate(token))?.data).toEqual(JSON.parse(entry.text));
    }
    expect(await sessions.revokeToken(token)).toBe("user-1");
  });

  it.each(cases)("$name: never throws anything but a typed error from the codec", ({ text }) => {
    const codec = new DataCodec({ bounds: BOUNDS, schema: null, upgrade: null });
    try {
      codec.load(text);
    } catch (error) {
      expect(isSymbolonError(error)).toBe(true);
    }
  });
});

describe("hostile data set by the application", () => {
  const parsable = cases.filter(({ name }) => name !== "trailing" && name !== "bom");

  it.each(parsable)("$name: is refused at save, or comes back as it was", async (entry) => {
    const sessions = manager();
    const { token } = await sessions.create({ userId: "user-1", data: { before: 1 } });
    const session = await sessions.validate(token);
    if (session === null) throw new Error("The session does not open.");
    session.data = JSON.parse(entry.text) as Record<string, unknown>;
    if (isRefused(entry)) {
      await expect(session.save()).rejects.toSatisfy(isSymbolonError);
      expect((await sessions.validate(token))?.data).toEqual({ before: 1 });
    } else {
      expect(await session.save()).toBe("saved");
      expect((await sessions.validate(token))?.data).toEqual(JSON.parse(entry.text));
    }
  });

  it.each(parsable)("$name: is refused by create, or comes back as it was", async (entry) => {
    const sessions = manager();
    const creating = sessions.create({ data: JSON.parse(entry.text) as Record<string, unknown> });
    if (isRefused(entry)) {
      await expect(creating).rejects.toSatisfy(isSymbolonError);
    } else {
      const { token } = await creating;
      expect((await sessions.validate(token))?.data).toEqual(JSON.parse(entry.text));
    }
  });

  it.each(parsable.filter((entry) => !isRefused(entry)))(
    "$name: survives a merge with what another request wrote",
    async ({ text }) => {
      const sessions = manager();
      const { token } = await sessions.create({ userId: "user-1" });
      const [one, other] = [await sessions.validate(token), await sessions.validate(token)];
      if (one === null || other === null) throw new Error("The session does not open.");
      Object.assign(one.data, JSON.parse(text));
      other.data["beside"] = true;
      expect([await one.save(), await other.save()]).toEqual(["saved", "saved"]);
      expect((await sessions.validate(token))?.data).toEqual({ ...JSON.parse(text), beside: true });
    },
  );

  it("is refused as extra values of a session too", async () => {
    const sessions = manager();
    for (const entry of parsable.filter((one) => one.name !== "null-root" && isRefused(one))) {
      const extra = JSON.parse(entry.text) as Record<string, unknown>;
      await expect(sessions.create({ userId: "user-1", extra })).rejects.toSatisfy(isSymbolonError);
    }
    expect(await sessions.count()).toBe(0);
  });

  it("cannot shadow what the session itself says", async () => {
    const sessions = manager();
    const shadow = { userId: "victim", id: "x", state: "authenticated", expiresAt: 9e12, roles: ["admin"] };
    const { token, id } = await sessions.create({ data: shadow });
    const session = await sessions.validate(token);
    expect(session).toMatchObject({ userId: null, state: "anonymous", roles: [], id });
    expect(session?.expiresAt).toBeLessThan(9e12);
    expect(session?.data).toEqual(shadow);
  });
});
