import {
  createSessionManager,
  generateKey,
  type Session,
  type SessionManager,
  type SessionManagerOptions,
} from "symbolon";
import { memoryStore } from "symbolon/stores/memory";
import { sqliteStore } from "symbolon/stores/sqlite";
import { describe, expect, it } from "vitest";
import { sqliteFile } from "../support/sqlite.ts";
import { intercept } from "../support/stores.ts";

type Data = Record<string, unknown>;
type Options = Partial<SessionManagerOptions<Data>>;

/** Two processes on one store. */
function processes(options: Options = {}): readonly [SessionManager, SessionManager] {
  const shared = { store: memoryStore(), keys: [generateKey()], pruneEvery: false, ...options } as const;
  return [createSessionManager(shared), createSessionManager(shared)];
}

async function opened(sessions: SessionManager, token: string): Promise<Session> {
  const session = await sessions.validate(token);
  if (session === null) throw new Error("The session does not open.");
  return session;
}

/** Two requests of one session, in two processes, both opened before either writes; answers what is stored then. */
async function race(before: Data, one: (data: Data) => void, other: (data: Data) => void): Promise<unknown> {
  const [a, b] = processes();
  const { token } = await a.create({ data: structuredClone(before) });
  const [first, second] = [await opened(a, token), await opened(b, token)];
  one(first.data);
  other(second.data);
  expect(await first.save()).toBe("saved");
  expect(["saved", "unchanged"]).toContain(await second.save());
  const stored = (await opened(a, token)).data;
  // The later request sees what it merged with.
  expect(second.data).toEqual(stored);
  return stored;
}

describe("two requests of one session that change", () => {
  it("different keys: both changes are kept, at any depth", async () => {
    const before = { a: 1, deep: { x: { p: 1 }, y: 2 }, gone: true };
    const merged = await race(
      before,
      (data) => {
        data["a"] = 2;
        (data["deep"] as Data)["x"] = { p: 2, q: [] };
        delete data["gone"];
      },
      (data) => {
        data["b"] = 1;
        (data["deep"] as Data)["y"] = 3;
        (data["deep"] as Data)["z"] = { new: true };
      },
    );
    expect(merged).toEqual({ a: 2, b: 1, deep: { x: { p: 2, q: [] }, y: 3, z: { new: true } } });
  });

  it.each<[string, Data, (data: Data) => void, (data: Data) => void, Data]>([
    ["the same value", { a: 1 }, (data) => (data["a"] = 2), (data) => (data["a"] = 3), { a: 3 }],
    ["an array", { l: [1] }, (data) => (data["l"] = [1, 2]), (data) => (data["l"] = [1, 3]), { l: [1, 3] }],
    ["what the other removed", { a: 1 }, (data) => delete data["a"], (data) => (data["a"] = 2), { a: 2 }],
    ["a value and its removal", { a: 1 }, (data) => (data["a"] = 2), (data) => delete data["a"], {}],
    [
      "an object and a part of it",
      { o: { a: 1 } },
      (data) => (data["o"] = 5),
      inO((o) => (o["b"] = 2)),
      { o: { b: 2 } },
    ],
    ["a part and its object", { o: { a: 1 } }, inO((o) => (o["b"] = 2)), (data) => (data["o"] = null), { o: null }],
    ["the removed object's part", { o: { a: 1 } }, (data) => delete data["o"], inO((o) => delete o["a"]), {}],
    [
      "the removed object's part, anew",
      { o: { a: 1 } },
      (data) => delete data["o"],
      inO((o) => (o["b"] = 1)),
      { o: { b: 1 } },
    ],
    ["everything", { a: 1 }, clear({ x: 1 }), clear({ y: 1 }), { x: 1, y: 1 }],
  ])("%s: the later save wins, and nothing else is lost", async (_, before, one, other, after) => {
    expect(await race({ ...before, kept: 1 }, one, other)).toEqual({ ...after, kept: 1 });
  });
});

function inO(change: (o: Data) => unknown): (data: Data) => void {
  return (data) => void change(data["o"] as Data);
}

function clear(next: Data): (data: Data) => void {
  return (data) => {
    for (const key of Object.keys(data)) if (key !== "kept") delete data[key];
    Object.assign(data, next);
  };
}

describe("conflicts: 'strict'", () => {
  it("refuses a save over data it did not read, with a typed error, and changes nothing", async () => {
    const [a, b] = processes({ conflicts: "strict" });
    const { token } = await a.create({ data: { n: 0 } });
    const [first, second] = [await opened(a, token), await opened(b, token)];
    first.data["a"] = 1;
    second.data["b"] = 1;
    expect(await first.save()).toBe("saved");
    await expect(second.save()).rejects.toMatchObject({ code: "ERR_CONFLICT", status: 409, retryable: true });
    expect((await opened(a, token)).data).toEqual({ n: 0, a: 1 });
  });

  it("does not mind touches, role changes and updates", async () => {
    const [a, b] = processes({ conflicts: "strict" });
    const { token, id } = await a.create({ userId: "user-1", data: { n: 0 } });
    const session = await opened(b, token);
    session.data["b"] = 1;
    await a.update("user-1", id, { roles: ["admin"] });
    expect(await session.save()).toBe("saved");
    const late = await opened(b, token);
    await (await opened(a, token)).update((data) => void (data["n"] = 1));
    expect(await late.update((data) => void (data["n"] = Number(data["n"]) + 1))).toBe("saved");
    expect((await opened(a, token)).data).toEqual({ n: 2, b: 1 });
  });
});

describe("many writers", () => {
  it("lose none of 200 parallel increments in one process, nor of 2 x 100 in two", async () => {
    const file = sqliteFile();
    const keys = [generateKey()];
    const open = (): SessionManager =>
      createSessionManager({ store: sqliteStore(file.connect()), keys, pruneEvery: false });
    const [a, b] = [open(), open()];
    const { token } = await a.create({ data: { n: 0 } });
    const countUp = async (sessions: SessionManager): Promise<unknown> =>
      (await opened(sessions, token)).update((data) => void (data["n"] = Number(data["n"]) + 1));
    const alone = await Promise.all(Array.from({ length: 200 }, () => countUp(a)));
    expect(new Set(alone)).toEqual(new Set(["saved"]));
    expect((await opened(b, token)).data["n"]).toBe(200);
    await Promise.all(Array.from({ length: 200 }, (_, index) => countUp(index % 2 === 0 ? a : b)));
    expect((await opened(b, token)).data["n"]).toBe(400);
  });

  it("keep all 200 keys that 200 parallel requests set", async () => {
    const inner = memoryStore();
    // A store that answers later, so that the requests really are in flight together.
    const store = intercept(inner, async (call) => call.proceed());
    const [a, b] = processes({ store });
    const { token } = await a.create();
    const sessions = await Promise.all(
      Array.from({ length: 200 }, (_, index) => opened(index % 3 === 0 ? b : a, token)),
    );
    for (const [index, session] of sessions.entries()) session.data[`key-${index}`] = index;
    await Promise.all(sessions.map((session) => session.save()));
    expect(Object.keys((await opened(a, token)).data)).toHaveLength(200);
  });
});

describe("one session object", () => {
  it("keeps references into its data good when others' changes are merged in", async () => {
    const [a, b] = processes();
    const { token } = await a.create({ data: { deep: { mine: 1 }, list: [1] } });
    const session = await opened(a, token);
    const { data } = session;
    const deep = data["deep"] as Data;
    await (await opened(b, token)).update((draft) => void ((draft["deep"] as Data)["theirs"] = 2));
    deep["mine"] = 3;
    expect(await session.save()).toBe("saved");
    expect(session.data).toBe(data);
    expect(deep).toEqual({ mine: 3, theirs: 2 });
    deep["mine"] = 4;
    await session.save();
    expect((await opened(b, token)).data).toEqual({ deep: { mine: 4, theirs: 2 }, list: [1] });
  });

  it("runs an update again on newer data until it lands, and saves earlier changes with it", async () => {
    const [a, b] = processes();
    const { token } = await a.create({ data: { n: 1 } });
    const session = await opened(a, token);
    session.data["before"] = true;
    await (await opened(b, token)).update((data) => void (data["n"] = 10));
    const seen: unknown[] = [];
    await session.update((data) => {
      seen.push(data["n"]);
      data["n"] = Number(data["n"]) + 1;
    });
    expect(seen).toEqual([1, 10]);
    expect(session.data).toEqual({ n: 11, before: true });
    expect((await opened(b, token)).data).toEqual({ n: 11, before: true });
  });

  it("changes nothing when an update throws, at once or later, and goes on", async () => {
    const [a] = processes();
    const { token } = await a.create({ data: { n: 1 } });
    const session = await opened(a, token);
    const failing = [
      (data: Data): void => {
        data["n"] = 2;
        throw new Error("of the application");
      },
      async (data: Data): Promise<void> => {
        data["n"] = 3;
        await Promise.resolve();
        throw new Error("of the application");
      },
    ];
    for (const change of failing) await expect(session.update(change)).rejects.toThrowError("of the application");
    expect(session.data).toEqual({ n: 1 });
    expect(await session.update((data) => void (data["n"] = 4))).toBe("saved");
    expect((await opened(a, token)).data).toEqual({ n: 4 });
  });

  it("saves twice in one handler without waiting, and loses neither", async () => {
    const store = intercept(memoryStore(), async (call) => call.proceed());
    const [a] = processes({ store });
    const { token } = await a.create({ data: { n: 0 } });
    const session = await opened(a, token);
    session.data["one"] = 1;
    const first = session.save();
    session.data["two"] = 2;
    const second = session.save();
    const third = session.update((data) => void (data["n"] = 3));
    expect(await Promise.all([first, second, third])).toEqual(["saved", expect.any(String), "saved"]);
    expect((await opened(a, token)).data).toEqual({ n: 3, one: 1, two: 2 });
    expect(session.isModified).toBe(false);
  });

  it("keeps a change made while a save was under way for the next save", async () => {
    const [a, b] = processes({ store: intercept(memoryStore(), async (call) => call.proceed()) });
    const { token } = await a.create({ data: { n: 0 } });
    const session = await opened(a, token);
    session.data["mine"] = 1;
    await (await opened(b, token)).update((data) => void (data["theirs"] = 1));
    const saving = session.save();
    session.data["late"] = 1;
    await saving;
    expect(session.isModified).toBe(true);
    await session.save();
    expect((await opened(b, token)).data).toEqual({ n: 0, mine: 1, theirs: 1, late: 1 });
  });

  it("keeps such a change also where another request has changed the same value", async () => {
    const [a, b] = processes({ store: intercept(memoryStore(), async (call) => call.proceed()) });
    const { token } = await a.create({ data: { o: { n: 0 }, list: [] } });
    const session = await opened(a, token);
    session.data["mine"] = 1;
    await (
      await opened(b, token)
    ).update((data) => {
      Object.assign(data, { o: { n: 1, m: 1 }, list: [1] });
    });
    const saving = session.save();
    (session.data["o"] as Data)["n"] = 2;
    session.data["list"] = [2];
    await saving;
    expect(session.data).toEqual({ o: { n: 2, m: 1 }, list: [2], mine: 1 });
    expect(await session.save()).toBe("saved");
    expect((await opened(b, token)).data).toEqual({ o: { n: 2, m: 1 }, list: [2], mine: 1 });
  });

  it("saves what it was asked to, even when what is set while it saves can never be stored", async () => {
    const [a, b] = processes({ store: intercept(memoryStore(), async (call) => call.proceed()) });
    const { token } = await a.create({ data: { o: [0] } });
    const session = await opened(a, token);
    session.data["mine"] = 1;
    await (await opened(b, token)).update((data) => void (data["theirs"] = 1));
    const saving = session.save();
    const cycle: unknown[] = [];
    cycle.push(cycle);
    session.data["o"] = cycle;
    expect(await saving).toBe("saved");
    await expect(session.save()).rejects.toMatchObject({ code: "ERR_DATA_TOO_LARGE" });
    expect((await opened(b, token)).data).toEqual({ o: [0], mine: 1, theirs: 1 });
  });

  it("begins a new anonymous session with what is saved after a logout", async () => {
    const [a] = processes();
    const { token, id } = await a.create({ userId: "user-1", data: { secret: 1 } });
    const session = await opened(a, token);
    await session.logout();
    expect(session).toMatchObject({ state: "anonymous", userId: null, id: null, isNew: true });
    expect(session.data).toEqual({});
    session.data["cart"] = 1;
    expect(await session.save()).toBe("saved");
    expect(session.id).not.toBe(id);
    expect(await a.inspect(token)).toMatchObject({ ok: false, reason: "ended", ended: { reason: "logout" } });
    expect(await a.count()).toBe(0);
  });
});
