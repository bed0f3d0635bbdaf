import { createSessionManager, generateKey, StoreUnavailableError } from "symbolon";
import type { Redis } from "ioredis";
import { redisStore } from "symbolon/stores/redis";
import { describe, expect, test } from "vitest";
import { needsServer } from "../support/servers.ts";
import { lineTo } from "./redis-line.ts";
import {
  adminOf,
  call,
  HOUR,
  newChange,
  newRecord,
  openOn,
  ownServer,
  reopen,
  until,
  untilAnswered,
} from "./redis-setup.ts";

const CLIENTS = ["ioredis", "iovalkey", "node-redis"] as const;
const LOGOUT = { reason: "logout", at: Date.now() };

needsServer("redis", () => {
  describe.each(CLIENTS)("redisStore over %s", (client) => {
    test("loses nothing acknowledged when a server that writes everything down is killed, and goes on", async () => {
      const server = await ownServer({}, true);
      const { store } = await openOn(server.url, client);
      const records = Array.from({ length: 300 }, () => newRecord());
      const acknowledged = new Set<string>();
      const ended = new Set<string>();
      const writing = records.map(async (record, index): Promise<void> => {
        await store.create(record, call());
        acknowledged.add(record.lookup);
        if (index % 3 !== 0) return;
        await store.delete(record, LOGOUT, call());
        ended.add(record.lookup);
      });
      const settled = Promise.allSettled(writing);
      await until("some are written", () => ended.size > 20);
      await server.kill();
      const before = { acknowledged: new Set(acknowledged), ended: new Set(ended) };
      await server.restart();
      await settled;
      for (const record of records) {
        const found = await untilAnswered(async () => store.read(record, call()));
        if (before.acknowledged.has(record.lookup)) expect(found).not.toBeNull();
        if (before.ended.has(record.lookup)) expect(found).toMatchObject({ reason: "logout" });
        // The index says the same as the record.
        const isLive = found !== null && "envelope" in found;
        expect(await store.countByOwner(record, call())).toBe(isLive ? 1 : 0);
      }
    });

    test("finds no session, and takes new ones, after a server that writes nothing down was killed", async () => {
      const server = await ownServer();
      const { store } = await openOn(server.url, client);
      const sessions = createSessionManager({ store, keys: [generateKey()] });
      const tokens = await Promise.all(
        Array.from({ length: 20 }, async (_, index) => (await sessions.create({ userId: `user-${index}` })).token),
      );
      await server.kill();
      await server.restart();
      for (const token of tokens) expect(await untilAnswered(() => sessions.validate(token))).toBeNull();
      expect(await sessions.count({ userId: "user-1" })).toBe(0);
      const { token } = await sessions.create({ userId: "user-1" });
      expect(await sessions.validate(token)).toMatchObject({ userId: "user-1" });
      await sessions.close();
    });

    test("a server that stands still times out, and is used again when it goes on", async () => {
      const server = await ownServer();
      const { store } = await openOn(server.url, client);
      const sessions = createSessionManager({ store, keys: [generateKey()], storeTimeout: 300 });
      const { token } = await sessions.create({ userId: "ann" });
      await server.pause();
      await expect(sessions.validate(token)).rejects.toThrow(StoreUnavailableError);
      server.resume();
      expect(await untilAnswered(() => sessions.validate(token))).toMatchObject({ userId: "ann" });
      await sessions.close();
    });

    test("an update whose answer is lost was made once, and is answered or found so", async () => {
      const server = await ownServer();
      const direct = await openOn(server.url, client);
      const line = await lineTo(server.port);
      const { store } = await reopen({ ...direct.where, url: line.url });
      const record = newRecord({ data: Buffer.from("data") });
      await store.create(record, call());
      await store.update(record, 1, newChange(), call());
      for (let version = 2; version < 6; version++) {
        line.loseNextAnswer();
        // A client that sends it again gets the first answer; one that does not says that it failed.
        const answer = await Promise.resolve(store.update(record, version, newChange(), call())).catch(() => "lost");
        expect(["updated", "lost"]).toContain(answer);
        expect(await untilAnswered(async () => store.read(record, call()))).toMatchObject({ version: version + 1 });
      }
    });

    test("a create, an end and an admission whose answers are lost were made once", async () => {
      const server = await ownServer();
      const direct = await openOn(server.url, client);
      const line = await lineTo(server.port);
      const { store } = await reopen({ ...direct.where, url: line.url });
      const rules = { perOwner: 2, total: null, onLimit: "reject", replacing: null } as const;
      const [created, admitted] = [newRecord(), newRecord()];
      // What the server answers to a script that it does not know yet is no loss.
      const first = newRecord();
      await direct.store.admit(first, rules, call());
      await direct.store.delete(first, LOGOUT, call());
      await direct.store.deleteByOwner(first, [], LOGOUT, call());
      await direct.store.create(newRecord(), call());
      await store.read(first, call());
      line.loseNextAnswer();
      const answer = await Promise.resolve(store.create(created, call())).catch(() => "lost");
      expect(["created", "lost"]).toContain(answer);
      await untilAnswered(async () => store.read(created, call()));
      line.loseNextAnswer();
      const admission = await Promise.resolve(store.admit(admitted, rules, call())).catch(() => ({ status: "lost" }));
      expect(["created", "lost"]).toContain(admission.status);
      expect(await untilAnswered(async () => store.countByOwner(admitted, call()))).toBe(1);
      line.loseNextAnswer();
      const ended = await Promise.resolve(store.delete(admitted, LOGOUT, call())).catch(() => true);
      expect(ended).toBe(true);
      expect(await untilAnswered(async () => store.countByOwner(admitted, call()))).toBe(0);
      // The first answer only names the records.
      line.loseNextAnswer();
      const count = await Promise.resolve(store.deleteByOwner(created, [], LOGOUT, call())).catch(() =>
        store.deleteByOwner(created, [], LOGOUT, call()),
      );
      expect(count).toBe(1);
      expect(await untilAnswered(async () => store.read(created, call()))).toMatchObject({ reason: "logout" });
    });

    test("goes on without a hitch when the server forgets its scripts", async () => {
      const server = await ownServer();
      const { store } = await openOn(server.url, client);
      const other = adminOf(server);
      const over = new AbortController();
      const flushing = (async () => {
        while (!over.signal.aborted) await other.script("FLUSH");
      })();
      for (let round = 0; round < 100; round++) {
        const record = newRecord();
        expect(await store.create(record, call())).toBe("created");
        expect(await store.update(record, 1, newChange(), call())).toBe("updated");
        expect(await store.delete(record, LOGOUT, call())).toBe(true);
      }
      over.abort();
      await flushing;
    });

    test("goes on when the server ends its connections under load", async () => {
      const server = await ownServer();
      const { store } = await openOn(server.url, client);
      const other = adminOf(server);
      const record = newRecord({ data: Buffer.from("0") });
      await store.create(record, call());
      let version = 1;
      for (let round = 0; round < 30; round++) {
        if (round % 5 === 0) void other.call("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes");
        await Promise.resolve(store.update(record, version, newChange(), call())).catch(() => "lost");
        const found = await untilAnswered(async () => store.read(record, call()));
        if (found === null || !("version" in found)) throw new Error("the record is gone");
        expect(found.version).toBeLessThanOrEqual(version + 1);
        version = found.version;
      }
      expect(version).toBeGreaterThan(20);
    });
  });

  test("an update under a lock that is sent again answers as it did, though the lock is free by then", async () => {
    const server = await ownServer();
    const { store, where } = await openOn(server.url);
    const record = newRecord({ data: Buffer.from("data") });
    const key = { space: record.space, route: record.route, lock: "lock" };
    const held = { lock: key.lock, holder: "ann" };
    await store.create(record, call());
    await store.acquireLock(key, held.holder, HOUR, call());
    const client = adminOf(server);
    const twice = new Proxy(client, {
      get(target, name) {
        const value: unknown = Reflect.get(target, name);
        if (name !== "callBuffer") return value;
        return async (...words: Parameters<Redis["callBuffer"]>): Promise<unknown> => {
          const answer = await target.callBuffer(...words);
          if (!words.includes(held.holder)) return answer;
          await store.releaseLock(key, held.holder, call());
          return target.callBuffer(...words);
        };
      },
    });
    const sending = redisStore(twice, where.options);
    // Each script is known to the server from its first run on.
    expect(await store.updateUnderLock(record, 1, newChange(), held, call())).toBe("updated");
    expect(await sending.updateUnderLock(record, 2, newChange(), held, call())).toBe("updated");
    expect(await store.read(record, call())).toMatchObject({ version: 3 });
    expect(await sending.updateUnderLock(record, 3, newChange(), held, call())).toBe("lost");
    expect(await store.read(record, call())).toMatchObject({ version: 3 });
  });
});
