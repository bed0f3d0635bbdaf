/** `cached`: what is answered from near, for how long, and what is always asked far. */
import {
  createSessionManager,
  generateKey,
  type InvalidationListener,
  OptionsError,
  type SessionManager,
  type Store,
  StoreUnavailableError,
  type StoreWarning,
} from "symbolon";
import { cached } from "symbolon/stores/cached";
import { type MemoryStore, memoryStore } from "symbolon/stores/memory";
import { mirrored } from "symbolon/stores/mirrored";
import { sqliteStore } from "symbolon/stores/sqlite";
import { manualClock } from "symbolon/testing";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { found } from "../support/sessions.ts";
import { sqliteFile } from "../support/sqlite.ts";
import { intercept, spied, without } from "../support/stores.ts";

const USER = "user-1";
const keys = [generateKey()];

beforeEach(() => {
  vi.useFakeTimers({ toFake: ["performance", "setTimeout", "clearTimeout"] });
});

afterEach(() => {
  vi.useRealTimers();
});

interface Stage {
  /** The process with the cache. */
  readonly here: SessionManager;
  /** Another process, on the same storage. */
  readonly there: SessionManager;
  /** Calls that reached the storage from here. */
  readonly calls: string[];
}

function managerOn(store: Store): SessionManager {
  return createSessionManager({ store, keys, clock: manualClock(), pruneEvery: false });
}

/** `telling` or not, by the way of messages that arrive at once. */
function stage(near = {}, isTelling = true): Stage {
  const storage = memoryStore();
  const { store, calls } = spied<Store>(isTelling ? storage : without(storage, "subscribe"));
  return { here: managerOn(cached(near, store)), there: managerOn(storage), calls };
}

/** A promise, and the function that keeps it. */
function gated(): { readonly opened: Promise<void>; readonly open: () => void } {
  let open: (() => void) | undefined;
  const opened = new Promise<void>((resolve) => {
    open = resolve;
  });
  return { opened, open: () => open?.() };
}

/** Until the subscription stands, nothing is kept. */
async function warmUp({ here, calls }: Stage, token: string): Promise<void> {
  await here.validate(token);
  await here.validate(token);
  await here.validate(token);
  calls.length = 0;
}

async function begun(from: SessionManager): Promise<{ token: string; id: string }> {
  const { token, id } = await from.create({ userId: USER });
  return { token, id };
}

describe("a record that was read lately", () => {
  it("is answered without a call to the far store", async () => {
    const one = stage();
    const { token } = await begun(one.there);
    await warmUp(one, token);
    for (let round = 0; round < 5; round++) expect(await found(one.here, token)).toBe(`authenticated: ${USER}`);
    expect(one.calls).toEqual([]);
  });

  it("is asked for again once the staleness has passed, and not before", async () => {
    const one = stage({ staleness: 2000 });
    const { token } = await begun(one.there);
    await warmUp(one, token);
    vi.advanceTimersByTime(1999);
    await one.here.validate(token);
    expect(one.calls).toEqual([]);
    vi.advanceTimersByTime(1);
    await one.here.validate(token);
    expect(one.calls).toEqual(["read"]);
    vi.advanceTimersByTime(1999);
    await one.here.validate(token);
    expect(one.calls).toEqual(["read"]);
  });

  it("makes room for newer ones when there are more than may be kept", async () => {
    const one = stage({ maxRecords: 2 });
    const tokens = await Promise.all(Array.from({ length: 3 }, async () => (await begun(one.there)).token));
    await warmUp(one, tokens[0]!);
    for (const token of tokens.slice(1)) await one.here.validate(token);
    one.calls.length = 0;
    await one.here.validate(tokens[2]!);
    await one.here.validate(tokens[1]!);
    expect(one.calls).toEqual([]);
    await one.here.validate(tokens[0]!);
    expect(one.calls).toEqual(["read"]);
  });

  it("is a copy each time: what a caller does to it stays with the caller", async () => {
    const storage = memoryStore();
    const store = cached({}, storage);
    const call = { now: 0, signal: new AbortController().signal };
    const times = { createdAt: 0, touchedAt: 0, deadline: 1000 };
    const place = { space: "space", route: 1, lookup: "lookup", owner: null, tenant: null };
    const record = { ...place, ...times, version: 1, envelope: Buffer.from("envelope"), data: null };
    await storage.create(record, call);
    for (let round = 0; round < 4; round++) {
      const read = await store.read(record, call);
      if (read === null || !("envelope" in read)) throw new Error("The record is gone.");
      expect(Buffer.from(read.envelope).toString()).toBe("envelope");
      read.envelope.fill(0);
    }
  });

  it("is never one that ended, or is absent: those are asked for each time", async () => {
    const one = stage();
    const { token } = await begun(one.there);
    await warmUp(one, token);
    await one.there.revokeToken(token);
    for (let round = 0; round < 3; round++) expect(await found(one.here, token)).toBe("ended: revoked");
    expect(one.calls).toEqual(["read", "read", "read"]);
  });
});

describe("what others write", () => {
  it.each<[string, (there: SessionManager, token: string, id: string) => Promise<unknown>]>([
    ["revoke", async (there, _, id) => there.revoke(USER, id)],
    ["revokeToken", async (there, token) => there.revokeToken(token)],
    ["revokeAll", async (there) => there.revokeAll(USER)],
    ["revokeEverything", async (there) => there.revokeEverything()],
  ])("is known here when the message has arrived (%s)", async (_, end) => {
    const one = stage();
    const { token, id } = await begun(one.there);
    await warmUp(one, token);
    await end(one.there, token, id);
    expect(await one.here.validate(token)).toBeNull();
  });

  it("is known within the staleness where nothing tells", async () => {
    const one = stage({ staleness: 1000 }, false);
    const { token } = await begun(one.there);
    await warmUp(one, token);
    await one.there.revokeToken(token);
    expect(await one.here.validate(token)).not.toBeNull();
    vi.advanceTimersByTime(1000);
    expect(await one.here.validate(token)).toBeNull();
  });

  it("is known at once where it is this process that wrote it", async () => {
    const one = stage({ staleness: 60_000 }, false);
    const { token, id } = await begun(one.there);
    await warmUp(one, token);
    await one.here.update(USER, id, { roles: ["admin"] });
    expect((await one.here.validate(token))?.roles).toEqual(["admin"]);
    await one.here.revokeAll(USER);
    expect(await one.here.validate(token)).toBeNull();
  });

  it("is known at once, too, where this process wrote it under a lock", async () => {
    const far = without(memoryStore(), "subscribe");
    const store = cached({ staleness: 60_000 }, far);
    const call = { now: 0, signal: new AbortController().signal };
    const key = { space: "space", route: 1, lookup: "lookup" };
    const times = { createdAt: 0, touchedAt: 0, deadline: 1000 };
    const envelope = Buffer.from("envelope");
    await store.create({ ...key, ...times, owner: null, tenant: null, version: 1, envelope, data: null }, call);
    expect(await store.read(key, call)).toMatchObject({ version: 1 });
    const held = { lock: "lock", holder: "ann" };
    await store.acquireLock({ ...key, lock: held.lock }, held.holder, 1000, call);
    expect(await store.updateUnderLock(key, 1, { ...times, envelope }, held, call)).toBe("updated");
    expect(await store.read(key, call)).toMatchObject({ version: 2 });
  });

  it("is not overtaken by an answer that was on its way", async () => {
    const storage = memoryStore();
    let hold: Promise<void> | null = null;
    const slow = intercept(storage, async (call) => {
      const answer = await call.proceed();
      if (call.method === "read") await hold;
      return answer;
    });
    const [here, there] = [managerOn(cached({}, slow)), managerOn(storage)];
    const { token } = await begun(there);
    await here.validate(token);
    await here.validate(token);
    // Forgotten here; then read anew, and ended while that answer is on its way.
    await there.refresh((await begun(there)).token);
    vi.advanceTimersByTime(5000);
    const gate = gated();
    hold = gate.opened;
    const late = here.validate(token);
    await Promise.resolve();
    await there.revokeToken(token);
    gate.open();
    await late;
    hold = null;
    expect(await here.validate(token)).toBeNull();
  });
});

describe("a near answer", () => {
  it("turns nobody away: a token that replaced another is asked for far", async () => {
    const one = stage({ staleness: 60_000 }, false);
    const { token } = await begun(one.there);
    await warmUp(one, token);
    const next = await one.there.refresh(token);
    expect(await found(one.here, next!.token)).toBe(`authenticated: ${USER}`);
  });

  it("does not let a session end before its time: use that another process noted is asked for", async () => {
    const storage = memoryStore();
    const clock = manualClock();
    const options = { keys, clock, pruneEvery: false, lifetime: { idle: "10m", absolute: "10h" } } as const;
    const here = createSessionManager({
      ...options,
      store: cached({ staleness: 3_600_000 }, without(storage, "subscribe")),
    });
    const there = createSessionManager({ ...options, store: storage });
    const { token } = await begun(there);
    await here.validate(token);
    for (let minute = 0; minute < 12; minute += 3) {
      clock.advance(3 * 60_000);
      await there.validate(token);
    }
    expect(await found(here, token)).toBe(`authenticated: ${USER}`);
  });

  it("loses no update: a write on an old version is replayed on the newest", async () => {
    const one = stage({ staleness: 60_000 }, false);
    const { token } = await begun(one.there);
    await warmUp(one, token);
    const add = async (sessions: SessionManager): Promise<void> => {
      const session = await sessions.validate(token);
      await session?.update((data) => void (data["count"] = Number(data["count"] ?? 0) + 1));
    };
    for (let round = 0; round < 5; round++) {
      await add(one.there);
      await add(one.here);
    }
    expect((await one.there.validate(token))?.data).toEqual({ count: 10 });
  });
});

describe("the link by which others are heard", () => {
  interface Link {
    readonly sessions: SessionManager;
    readonly calls: string[];
    readonly warnings: StoreWarning[];
    readonly listeners: InvalidationListener[];
    subscribe: (...args: Parameters<MemoryStore["subscribe"]>) => ReturnType<MemoryStore["subscribe"]>;
  }

  function linked(): Link {
    const storage = memoryStore();
    const listeners: InvalidationListener[] = [];
    const link: Pick<Link, "subscribe"> = { subscribe: (listener, call) => storage.subscribe(listener, call) };
    const { store, calls } = spied({
      ...storage,
      subscribe: (listener: InvalidationListener, call: Parameters<Link["subscribe"]>[1]) => {
        listeners.push(listener);
        return link.subscribe(listener, call);
      },
    });
    const front = cached({}, store);
    const warnings: StoreWarning[] = [];
    front.onWarning((warning) => warnings.push(warning));
    return Object.assign(link, { sessions: managerOn(front), calls, warnings, listeners });
  }

  it("empties the near side when it breaks, and nothing is kept until it is back", async () => {
    const { sessions, calls, listeners, warnings } = linked();
    const { token } = await begun(sessions);
    for (let round = 0; round < 3; round++) await sessions.validate(token);
    calls.length = 0;
    await sessions.validate(token);
    expect(calls).toEqual([]);
    listeners[0]!.lost();
    for (let round = 0; round < 3; round++) await sessions.validate(token);
    expect(calls).toEqual(["read", "read", "read"]);
    expect(warnings).toMatchObject([{ code: "invalidations-lost" }]);
    listeners[0]!.restored();
    await sessions.validate(token);
    calls.length = 0;
    await sessions.validate(token);
    expect(calls).toEqual([]);
  });

  it("is opened again, with pauses, when it cannot be opened; requests go on", async () => {
    const link = linked();
    const { subscribe } = link;
    link.subscribe = () => {
      throw new StoreUnavailableError("No connection.");
    };
    const { token } = await begun(link.sessions);
    for (let round = 0; round < 3; round++) await link.sessions.validate(token);
    expect(link.listeners).toHaveLength(1);
    await vi.advanceTimersByTimeAsync(250);
    expect(link.listeners).toHaveLength(2);
    await vi.advanceTimersByTimeAsync(499);
    expect(link.listeners).toHaveLength(2);
    expect(link.warnings).toHaveLength(1);
    link.subscribe = subscribe;
    await vi.advanceTimersByTimeAsync(1);
    expect(link.listeners).toHaveLength(3);
    await link.sessions.validate(token);
    link.calls.length = 0;
    await link.sessions.validate(token);
    expect(link.calls).toEqual([]);
  });

  it("keeps nothing while it is being opened", async () => {
    const link = linked();
    link.subscribe = () => new Promise(() => undefined);
    const { token } = await begun(link.sessions);
    link.calls.length = 0;
    for (let round = 0; round < 3; round++) await link.sessions.validate(token);
    expect(link.calls.filter((method) => method === "read")).toHaveLength(3);
  });

  it("hears nothing more after close", async () => {
    const link = linked();
    let stopped = 0;
    link.subscribe = () => () => void stopped++;
    const { token } = await begun(link.sessions);
    await link.sessions.validate(token);
    await link.sessions.close();
    expect(stopped).toBe(1);
  });
});

describe("options of cached", () => {
  it("ask for the staleness where nothing tells what is written", () => {
    const store = sqliteStore(sqliteFile().connect());
    expect(() => cached({}, store)).toThrow(/say `staleness`/);
    expect(() => cached({ staleness: 1000 }, store)).not.toThrow();
  });

  it.each([{ staleness: 0 }, { staleness: NaN }, { staleness: -1 }, { maxRecords: 0 }, { maxRecords: 1.5 }])(
    "refuse %j",
    (near) => {
      expect(() => cached(near, memoryStore())).toThrow(OptionsError);
    },
  );

  it("belong in front: a cache is not mirrored, but mirrors may be cached", () => {
    expect(() => mirrored(cached({}, memoryStore()), [memoryStore()])).toThrow(/cached\(near, mirrored/);
    expect(cached({}, mirrored(memoryStore(), [memoryStore()])).staleness).toBe(5000);
  });

  it("show the staleness on the store", () => {
    expect(cached({ staleness: 1500 }, memoryStore()).staleness).toBe(1500);
    expect(cached({}, memoryStore()).staleness).toBe(5000);
  });
});
