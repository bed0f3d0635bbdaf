/** Keys, tokens and data are in no error, event, log line, inspection or serialisation. */
import * as symbolon from "symbolon";
import {
  createSessionManager,
  generateKey,
  openSession,
  type RotationOptions,
  type SessionManager,
  tokenPattern,
} from "symbolon";
import { memoryStore } from "symbolon/stores/memory";
import { faultyStore, manualClock } from "symbolon/testing";
import { describe, expect, it } from "vitest";
import { expectSilent as expectNothing, shown } from "../support/spellings.ts";
import { intercept } from "../support/stores.ts";

const SECRET = "the-data-of-the-session";

interface Listened {
  readonly heard: { readonly type: string }[];
  readonly types: () => string[];
}

function listen(sessions: SessionManager): Listened {
  const heard: { readonly type: string }[] = [];
  sessions.on("*", (event) => heard.push(event));
  return { heard, types: () => heard.splice(0).map(({ type }) => type) };
}

function expectSilent(text: string, secrets: readonly string[]): void {
  expectNothing(text, secrets);
  expect(text).not.toContain(SECRET);
}

describe("what is logged", () => {
  it("shows nothing secret of a manager, a session, a page, an inspection or an event", async () => {
    const [key, other] = [generateKey(), generateKey()];
    const clock = manualClock();
    const faulty = faultyStore(memoryStore());
    const sessions = createSessionManager({ store: faulty.store, keys: [key], clock, pruneEvery: false });
    const { heard } = listen(sessions);
    const created = await sessions.create({ userId: "user-1", data: { name: SECRET } });
    const session = await sessions.validate(created.token);
    expect(session?.data).toEqual({ name: SECRET });
    await session?.update((data) => void (data["more"] = SECRET));
    const next = await sessions.refresh(created.token);
    const values: unknown[] = [sessions, created, session, next, await sessions.inspect(created.token)];
    values.push(await sessions.list({ userId: "user-1" }), await sessions.get("user-1", created.id), { ...symbolon });
    sessions.setKeys([other, key]);
    faulty.fail(1);
    values.push(await sessions.validate(created.token).catch((error: unknown) => error));
    await next?.logout();
    values.push(next, heard);
    const tokens = [created.token, next?.token ?? ""];
    for (const value of values) expectSilent(shown(value), [key, other, ...tokens]);
    expect(heard.length).toBeGreaterThanOrEqual(5);
    // The search itself works.
    expect(() => expectSilent(shown({ token: created.token }), tokens)).toThrow();
  });

  it("shows the handle and the state of a session, so that a log line says which it was", async () => {
    const sessions = createSessionManager({ store: memoryStore(), keys: [generateKey()], pruneEvery: false });
    const { id, ...rest } = await sessions.create({ userId: "user-1" });
    const session = await sessions.get("user-1", id);
    expect(JSON.parse(JSON.stringify(session))).toMatchObject({ id, state: "authenticated" });
    expect(Object.keys(rest)).not.toContain("token");
  });

  it("can be scrubbed of every token with the published pattern", async () => {
    const sessions = createSessionManager({ store: memoryStore(), keys: [generateKey()], pruneEvery: false });
    for (let round = 0; round < 200; round++) {
      const { token } = await sessions.create();
      for (const line of [`token=${token}`, `"${token}"`, `Cookie: __Host-sid=${token}; a=1`, token, `(${token})`]) {
        const scrubbed = line.replace(tokenPattern, "[token]");
        expect(scrubbed).toBe(line.replace(token, () => "[token]"));
        expectSilent(scrubbed, [token]);
      }
    }
  });
});

describe("errors", () => {
  it("say nothing secret, whatever went wrong", async () => {
    const key = generateKey();
    const store = memoryStore();
    const sessions = createSessionManager({ store, keys: [key], bounds: { bytes: 200, keys: 5 }, pruneEvery: false });
    const { token, id } = await sessions.create({ userId: "user-1", data: { name: SECRET } });
    const session = await sessions.validate(token);
    const errors: unknown[] = [];
    const collect = async (work: () => unknown): Promise<void> => {
      try {
        await work();
      } catch (error) {
        errors.push(error);
      }
    };
    for (const bad of [
      new Date(),
      new Map([[SECRET, SECRET]]),
      SECRET.repeat(20),
      1n,
      [SECRET, undefined],
      { constructor: SECRET },
    ]) {
      await collect(() => session?.update((data) => void (data["bad"] = bad)));
    }
    await collect(() => sessions.update("user-1", id, { data: () => undefined }));
    await collect(() => sessions.setKeys([key, key]));
    await collect(() => sessions.setKeys([`${key.slice(0, 30)} `]));
    await collect(() => sessions.setKeys([`${SECRET}-${SECRET}`]));
    await collect(() => createSessionManager({ store, keys: [key, generateKey()] }));
    await collect(() => sessions.create({ userId: SECRET.repeat(40) }));
    await collect(() => sessions.revoke("user-1", id, `${SECRET}\n`));
    await collect(() => sessions.list({ userId: "user-1", cursor: SECRET.repeat(100) }));
    for (const rotation of [{ every: SECRET }, { grace: SECRET }] as unknown as readonly RotationOptions[]) {
      await collect(() => createSessionManager({ store, keys: [key], rotation }));
    }
    const bare = await sessions.create({ userId: "user-1" });
    const late = await sessions.validate(bare.token);
    const second = (await sessions.refresh(bare.token))?.token ?? "";
    const third = (await sessions.refresh(second))?.token ?? "";
    await collect(() => late?.update((data) => void (data["first"] = 1)));
    const streaming = await openSession(sessions, {
      get: (name) => (name === "cookie" ? `__Host-sid=${third}` : null),
    });
    streaming.cookies();
    await collect(() => streaming.session.rotate());
    expect(errors).toHaveLength(18);
    for (const error of errors) {
      expect(symbolon.isSymbolonError(error), String(error)).toBe(true);
      expectSilent(shown(error), [key, token, bare.token, second, third]);
    }
  });
});

describe("events", () => {
  it("come exactly once for what happened", async () => {
    const clock = manualClock();
    const inner = memoryStore();
    const keys = [generateKey()];
    let tampered = false;
    const store = intercept(inner, (call) => {
      const found = call.proceed();
      return tampered && call.method === "read" ? { ...(found as object), envelope: Buffer.alloc(60, 1) } : found;
    });
    const sessions = createSessionManager({ store, keys, clock, pruneEvery: false });
    const elsewhere = createSessionManager({ store: inner, keys, clock, pruneEvery: false });
    const { types } = listen(sessions);
    const begin = (): Promise<{ token: string; id: string }> => sessions.create({ userId: "user-1", data: { n: 0 } });
    const { token, id } = await begin();
    expect(types()).toEqual(["created", "login"]);
    const session = await sessions.validate(token);
    await (await elsewhere.validate(token))?.update((data) => void (data["n"] = 1));
    await session?.update((data) => void (data["m"] = 1));
    expect(types()).toEqual(["merged"]);
    const next = await sessions.refresh(token);
    expect(types()).toEqual(["rotated"]);
    expect((await sessions.refresh(token))?.token).toBe(next?.token);
    expect(await sessions.validate("x")).toBeNull();
    expect(types()).toEqual([]);
    const stolen = await begin();
    await sessions.refresh(stolen.token);
    clock.advance(10_000);
    expect([await sessions.refresh(stolen.token), await sessions.validate(stolen.token)]).toEqual([null, null]);
    expect(types()).toEqual(["created", "login", "rotated", "reuse-detected"]);
    tampered = true;
    await sessions.validate(next?.token ?? "");
    tampered = false;
    expect(types()).toEqual(["bad-seal"]);
    await next?.logout();
    await next?.logout();
    expect(types()).toEqual(["logout"]);
    expect(await sessions.revoke("user-1", id)).toBeNull();
    expect(types()).toEqual([]);
    await sessions.revoke("user-1", (await begin()).id);
    await sessions.revokeToken((await begin()).token);
    expect(types()).toEqual(["created", "login", "revoked", "created", "login", "revoked"]);
    await sessions.revokeAll("user-1");
    expect(types()).toEqual(["revoked-many"]);
    const last = await begin();
    clock.advance(3_600_000);
    await sessions.validate(last.token);
    clock.advance(60_000);
    expect(types()).toEqual(["created", "login", "expired"]);
    await sessions.prune();
    await sessions.prune();
    expect(types()).toEqual(["pruned"]);
  });

  it("cannot break a request by a listener that throws, nor reach one that stopped listening", async () => {
    const sessions = createSessionManager({ store: memoryStore(), keys: [generateKey()], pruneEvery: false });
    const heard: string[] = [];
    const warnings: Error[] = [];
    const warn = (warning: Error): void => void warnings.push(warning);
    process.on("warning", warn);
    sessions.on("created", () => {
      throw new Error(SECRET);
    });
    const stop = sessions.on("created", ({ id }) => heard.push(id));
    const { id } = await sessions.create();
    stop();
    await sessions.create();
    await new Promise((resolve) => setImmediate(resolve));
    process.off("warning", warn);
    expect(heard).toEqual([id]);
    expect(warnings.map(({ message }) => message)).toContainEqual(expect.stringMatching(/'created' threw Error\.$/));
    expectSilent(shown(warnings), []);
  });
});
