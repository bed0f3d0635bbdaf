import { createSessionManager, generateKey, type SessionManagerOptions } from "symbolon";
import { type MemoryStore, memoryStore } from "symbolon/stores/memory";
import { describe, expect, it } from "vitest";
import { z } from "zod";

const schema = z.object({
  cart: z.array(z.string()).default([]),
  theme: z.enum(["light", "dark"]).default("light"),
});
type Data = z.infer<typeof schema>;

const keys = [generateKey()];

function manager(options: Partial<SessionManagerOptions<Data>> = {}, store: MemoryStore = memoryStore()) {
  return createSessionManager<Data>({ store, keys, schema, pruneEvery: false, ...options });
}

const untyped = (data: unknown): Data => data as Data;

describe("a schema", () => {
  it("gives a session without data its defaults, which are no change to save", async () => {
    const sessions = manager();
    const { token } = await sessions.create();
    const session = await sessions.validate(token);
    expect(session?.data).toEqual({ cart: [], theme: "light" });
    expect(session?.isModified).toBe(false);
    expect(await session?.save()).toBe("unchanged");
  });

  it("gives stored data the defaults of what was added since, and saves them with the next change", async () => {
    const store = memoryStore();
    const before = createSessionManager({ store, keys, pruneEvery: false });
    const { token } = await before.create({ data: { cart: ["tea"] } });
    const session = await manager({}, store).validate(token);
    expect(session?.data).toEqual({ cart: ["tea"], theme: "light" });
    expect(await session?.save()).toBe("unchanged");
    session?.data.cart.push("milk");
    expect(await session?.save()).toBe("saved");
    const stored = (await before.validate(token))?.data;
    expect(stored?.["cart"]).toEqual(["tea", "milk"]);
    expect((await manager({}, store).validate(token))?.data).toEqual({ cart: ["tea", "milk"], theme: "light" });
  });

  it("refuses data at create, save and update, by place and not by value, and keeps what was stored", async () => {
    const sessions = manager();
    const { token } = await sessions.create({ data: { cart: ["tea"], theme: "dark" } });
    const bad = untyped({ cart: ["tea"], theme: "hidden-value" });
    const refused = { code: "ERR_DATA_INVALID", path: "theme", message: "Session data fails the schema, at theme." };
    await expect(sessions.create({ data: bad })).rejects.toMatchObject(refused);
    const session = await sessions.validate(token);
    if (session === null) throw new Error("The session does not open.");
    await expect(session.update((data) => void Object.assign(data, bad))).rejects.toMatchObject(refused);
    session.data = bad;
    await expect(session.save()).rejects.toMatchObject(refused);
    expect((await sessions.validate(token))?.data).toEqual({ cart: ["tea"], theme: "dark" });
  });

  it("refuses what two requests made together, if only that is wrong", async () => {
    const store = memoryStore();
    const limited = z
      .object({ a: z.number().optional(), b: z.number().optional() })
      .refine((data) => !(data.a && data.b));
    const sessions = createSessionManager({ store, keys, schema: limited, pruneEvery: false });
    const { token } = await sessions.create();
    const [one, other] = [await sessions.validate(token), await sessions.validate(token)];
    if (one === null || other === null) throw new Error("The session does not open.");
    one.data.a = 1;
    other.data.b = 1;
    expect(await one.save()).toBe("saved");
    await expect(other.save()).rejects.toMatchObject({ code: "ERR_DATA_INVALID" });
    expect((await sessions.validate(token))?.data).toEqual({ a: 1 });
  });
});

async function older() {
  const store = memoryStore();
  const before = createSessionManager({ store, keys, pruneEvery: false });
  const { token } = await before.create({ userId: "user-1", data: { items: "tea,milk" } });
  return { store, token, before };
}

const fromItems = (data: Record<string, unknown>): unknown => ({ cart: String(data["items"]).split(",") });

describe("stored data of an older shape", () => {
  const strict = schema.strict();

  it("is a typed error without an upgrade: never partial data, and the session itself stays", async () => {
    const { store, token, before } = await older();
    const session = await manager({ schema: strict }, store).validate(token);
    expect(session?.userId).toBe("user-1");
    expect(() => session?.data).toThrowError(/fails the schema; .*upgrade/);
    expect((await before.validate(token))?.data).toEqual({ items: "tea,milk" });
    await session?.logout();
    expect(await before.validate(token)).toBeNull();
  });

  it("goes through upgrade, and is stored in the new shape with the next change", async () => {
    const { store, token, before } = await older();
    const sessions = manager({ schema: strict, upgrade: fromItems }, store);
    const session = await sessions.validate(token);
    expect(session?.data).toEqual({ cart: ["tea", "milk"], theme: "light" });
    await session?.update((data) => void (data.theme = "dark"));
    expect((await before.validate(token))?.data).toEqual({ cart: ["tea", "milk"], theme: "dark" });
  });

  it("is a typed error when it fails the schema after the upgrade too", async () => {
    const { store, token } = await older();
    const session = await manager({ schema: strict, upgrade: () => ({ cart: 5 }) }, store).validate(token);
    expect(() => session?.data).toThrowError(/fails the schema; see upgrade, at cart/);
  });
});

describe("a schema that cannot be used", () => {
  it("is one that validates asynchronously: refused by name when it first does", async () => {
    const asynchronous = schema.refine(async () => true);
    const sessions = createSessionManager({ store: memoryStore(), keys, schema: asynchronous, pruneEvery: false });
    const creating = sessions.create({ data: { cart: [], theme: "light" } });
    await expect(creating).rejects.toThrowError(/^schema: must validate synchronously/);
  });
});
