/** Memcached that is killed, stands still, is full or refuses; connections that break; and clients that keep quiet about it. */
import { setTimeout as delay } from "node:timers/promises";
import Memcached from "memcached";
import { isTombstone, NotSupportedError, OptionsError, StoreUnavailableError } from "symbolon";
import { createSessionManager, generateKey } from "symbolon";
import { type MemcachedStore, memcachedStore } from "symbolon/stores/memcached";
import { type Server, startMemcached } from "symbolon-servers";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { needsServer } from "../support/servers.ts";
import { callFor, callNow, newChange, newRecord, openStore, openWay } from "./memcached-stage.ts";

const ENDING = { reason: "logout", at: Date.now() };

async function untilServed(store: MemcachedStore): Promise<void> {
  for (;;) {
    try {
      await store.read(newRecord(), callFor(1000));
      return;
    } catch (error) {
      expect(error).toBeInstanceOf(StoreUnavailableError);
      // A client that knows the server as dead answers at once.
      await delay(10);
    }
  }
}

/** Insists that no method takes the failure for an answer; `prepare` comes before each. */
async function expectFailure(store: MemcachedStore, ms = 3000, prepare = async () => {}): Promise<void> {
  const record = newRecord();
  for (const work of [
    async () => store.read(record, callFor(ms)),
    async () => store.create(record, callFor(ms)),
    async () => store.update(record, 1, newChange(), callFor(ms)),
    async () => store.delete(record, ENDING, callFor(ms)),
  ]) {
    await prepare();
    await expect(work).rejects.toThrow(StoreUnavailableError);
  }
}

needsServer("memcached", () => {
  let server: Server;

  beforeAll(async () => {
    server = await startMemcached();
  });

  afterAll(async () => server.stop());

  describe("a memcached that is killed", () => {
    test("fails every call, never answers that nothing is there, and serves the same store when it is back", async () => {
      const store = openStore(server.port);
      const [record, ended] = [newRecord(), newRecord()];
      await store.create(record, callNow());
      await store.create(ended, callNow());
      await store.delete(ended, ENDING, callNow());
      await server.kill();
      // Also after the client has counted failures, and has stopped asking for a while.
      for (let round = 0; round < 3; round++) await expectFailure(store);
      await server.restart();
      await untilServed(store);
      for (const gone of [record, ended]) {
        expect(await store.read(gone, callNow())).toBe(null);
        expect(await store.update(gone, 1, newChange(), callNow())).toBe("missing");
      }
      const fresh = newRecord();
      expect(await store.create(fresh, callNow())).toBe("created");
      expect(await store.read(fresh, callNow())).toEqual(fresh);
    });

    test("fails every call of clients that mark it dead, or refuse to queue", async () => {
      await server.kill();
      for (const settings of [
        { failures: 1, retry: 60_000, retries: 0 },
        // It tries again in some hours, by the program `ping`.
        { failures: 0, retries: 0 },
        { maxQueueSize: 1, retries: 0 },
      ]) {
        const store = openStore(server.port, settings);
        for (let round = 0; round < 3; round++) await expectFailure(store);
      }
      await server.restart();
    });
  });

  test("A memcached that stands still fails calls when their time is up, and serves them when it goes on", async () => {
    const store = openStore(server.port);
    const record = newRecord();
    await store.create(record, callNow());
    await server.pause();
    try {
      await expectFailure(store, 200);
      await expect(async () => store.update(record, 1, newChange(), callFor(200))).rejects.toThrow(
        StoreUnavailableError,
      );
    } finally {
      server.resume();
    }
    await untilServed(store);
    const found = await store.read(record, callNow());
    expect(found !== null && !isTombstone(found) && [1, 2].includes(found.version)).toBe(true);
    const version = found !== null && !isTombstone(found) ? found.version : 0;
    expect(await store.update(record, version, newChange(), callNow())).toBe("updated");
  });

  describe("a connection that breaks", () => {
    test("before the answer of a write leaves it done once or not at all, and the store usable", async () => {
      const way = await openWay(server.port);
      const [store, other] = [openStore(way.port), openStore(server.port)];
      const record = newRecord();
      await store.create(record, callNow());
      way.disturb = (reply) => (reply.startsWith("STORED") ? null : reply);
      await expect(async () => store.update(record, 1, newChange(), callFor(300))).rejects.toThrow(
        StoreUnavailableError,
      );
      const found = await other.read(record, callNow());
      expect(found !== null && !isTombstone(found) && found.version).toBe(2);
      await expect(async () => store.delete(record, ENDING, callFor(300))).rejects.toThrow(StoreUnavailableError);
      expect(await other.read(record, callNow())).toMatchObject({ reason: "logout" });
      way.disturb = null;
      await untilServed(store);
      expect(await store.update(record, 2, newChange(), callNow())).toBe("missing");
    });

    test("before the answer of a read is not taken for absence", async () => {
      const way = await openWay(server.port);
      const store = openStore(way.port);
      const record = newRecord();
      await store.create(record, callNow());
      way.disturb = () => null;
      await expectFailure(store, 300);
      way.disturb = null;
      await untilServed(store);
      expect(await store.read(record, callNow())).toEqual(record);
    });
  });

  describe("an error of the server, which the client answers by `false`", () => {
    test.each(["SERVER_ERROR out of memory storing object\r\n", "SERVER_ERROR busy\r\n", "ERROR\r\n"])(
      "is no answer: %j",
      async (reply) => {
        const way = await openWay(server.port);
        const store = openStore(way.port, { retry: 1 });
        const record = newRecord();
        await store.create(record, callNow());
        // Each on its own: after the first error, the client would take the server for failed.
        await expectFailure(store, 1000, async () => {
          way.disturb = null;
          await untilServed(store);
          way.disturb = () => reply;
        });
        way.disturb = null;
        await untilServed(store);
        // The answers to `gets` are true, those to `cas` are not.
        way.disturb = (answer) => (answer.startsWith("VALUE") ? answer : reply);
        const update = async () => store.update(record, 1, newChange(), callFor(1000));
        await expect(update).rejects.toThrow(StoreUnavailableError);
        way.disturb = null;
        await untilServed(store);
        expect(await store.read(record, callNow())).not.toBe(null);
      },
    );
  });

  describe("a memcached that is full", () => {
    test("drops sessions, and never answers an older one, another's, or one that was ended", async () => {
      const store = openStore(server.port);
      // About 470 KiB each: 64 MiB hold less than half of them.
      const records = Array.from({ length: 300 }, (_, index) => newRecord({ data: Buffer.alloc(350_000, index) }));
      for (const [index, record] of records.entries()) {
        expect(await store.create(record, callNow())).toBe("created");
        if (index % 3 === 1)
          await store.update(record, 1, newChange({ data: Buffer.alloc(350_000, index + 1) }), callNow());
        if (index % 3 === 2) await store.delete(record, ENDING, callNow());
      }
      let dropped = 0;
      for (const [index, record] of records.entries()) {
        const found = await store.read(record, callNow());
        if (found === null) dropped++;
        else if (index % 3 === 2) expect(isTombstone(found)).toBe(true);
        else expect(found).toMatchObject({ version: 1 + (index % 3), lookup: record.lookup });
        if (found !== null && !isTombstone(found)) expect(found.data?.[0]).toBe((index + (index % 3)) % 256);
        if (found === null) expect(await store.update(record, 1, newChange(), callNow())).toBe("missing");
      }
      expect(dropped).toBeGreaterThan(0);
      expect(dropped).toBeLessThan(300);
    });

    test("refuses a session that no value can hold, and leaves the one it has", async () => {
      const store = openStore(server.port);
      const record = newRecord();
      await store.create(record, callNow());
      const large = { data: Buffer.alloc(790_000) };
      await expect(async () => store.create(newRecord(large), callNow())).rejects.toThrow(/1 MiB/);
      await expect(async () => store.update(record, 1, newChange(large), callNow())).rejects.toThrow(/1 MiB/);
      expect(await store.read(record, callNow())).toEqual(record);
      // The largest that it takes.
      const largest = newRecord({ data: Buffer.alloc(785_000) });
      expect(await store.create(largest, callNow())).toBe("created");
      expect(await store.read(largest, callNow())).toEqual(largest);
    });
  });

  describe("the time for which a value is kept", () => {
    test.each([
      ["30 days and more", 30.5 * 86_400_000],
      ["a year", 366 * 86_400_000],
      ["a minute", 60_000],
      ["no time at all", 0],
    ])("is right for a deadline in %s", async (_what, ms) => {
      const store = openStore(server.port);
      const record = newRecord({ deadline: Date.now() + ms });
      expect(await store.create(record, callNow())).toBe("created");
      expect(await store.read(record, callNow())).toEqual(record);
      const change = newChange({ deadline: Date.now() + ms });
      expect(await store.update(record, 1, change, callNow())).toBe("updated");
      expect(await store.read(record, callNow())).toMatchObject({ version: 2 });
    });
  });

  test("A manager refuses limits, and says of lists and counts that it cannot", async () => {
    const store = openStore(server.port);
    const keys = [generateKey()];
    expect(() => createSessionManager({ store, keys, limits: { perUser: 1 } })).toThrow(OptionsError);
    const sessions = createSessionManager({ store, keys });
    const { token } = await sessions.create({ userId: "ada" });
    expect((await sessions.validate(token))?.userId).toBe("ada");
    await expect(sessions.list({ userId: "ada" })).rejects.toThrow(NotSupportedError);
    await expect(sessions.count({ userId: "ada" })).rejects.toThrow(NotSupportedError);
    await expect(sessions.revokeAll("ada")).rejects.toThrow(NotSupportedError);
    await sessions.revokeToken(token);
    expect(await sessions.validate(token)).toBe(null);
    await sessions.close();
  });
});

function clientWith(options: Memcached.options & { failOverServers?: string[] }): Memcached {
  return new Memcached("127.0.0.1:1", options);
}

test("A client that would let another server answer is refused, and so is a prefix that is none", () => {
  for (const options of [{ remove: true }, { redundancy: 1 }, { failOverServers: ["127.0.0.1:2"] }]) {
    expect(() => memcachedStore(clientWith(options))).toThrow(OptionsError);
  }
  for (const prefix of ["a b", "\n", "ä", "x".repeat(101)]) {
    expect(() => memcachedStore(clientWith({}), { prefix })).toThrow(/`prefix` must be/);
  }
});
