import { setTimeout as sleep } from "node:timers/promises";
import { isTombstone, StoreUnavailableError, type StoredRecord } from "symbolon";
import { describe, expect, test } from "vitest";
import { needsServer } from "../support/servers.ts";
import {
  callWithin,
  eventually,
  failureOf,
  type Kind,
  kinds,
  newOwner,
  newRecord,
  runSql,
  serverFor,
  type ServedStore,
  storageWith,
  wayTo,
} from "./sql-setup.ts";

/** The last version of each record that was acknowledged. */
type Acknowledged = Map<StoredRecord, number>;

/** Creates records and updates each until told to stop; what fails is not acknowledged, and nothing else. */
async function write(store: ServedStore, acknowledged: Acknowledged, isOver: () => boolean): Promise<void> {
  while (!isOver()) {
    const record = newRecord({ ...newOwner(), data: Buffer.from("1") });
    try {
      if ((await store.create(record, callWithin(1000))) === "created") acknowledged.set(record, 1);
      for (let version = 1; version < 5 && !isOver(); version++) {
        const change = { ...record, data: Buffer.from(`${version + 1}`) };
        const answer = await store.update(record, version, change, callWithin(1000));
        if (answer === "updated") acknowledged.set(record, version + 1);
      }
    } catch (error) {
      expect(error).toBeInstanceOf(StoreUnavailableError);
      // Not as fast as a server that is down can refuse.
      await sleep(5);
    }
  }
}

/** Insists that each record is there, whole, in the acknowledged version or the one that was under way. */
async function expectKept(store: ServedStore, acknowledged: Acknowledged): Promise<void> {
  for (const [record, version] of acknowledged) {
    const found = await eventually(async () => store.read(record, callWithin()));
    if (found === null || isTombstone(found)) throw new Error("an acknowledged record is gone");
    expect(found.version - version).toBeGreaterThanOrEqual(0);
    expect(found.version - version).toBeLessThanOrEqual(1);
    expect(found).toEqual({ ...record, version: found.version, data: Buffer.from(`${found.version}`) });
  }
}

describe.each(kinds)("a server under $name", (kind) => {
  needsServer(kind.server, () => {
    test.each(["killed", "restarted in order"])("that is %s while it is written to loses nothing", async (how) => {
      const server = await serverFor(kind);
      const store = await (await storageWith(kind, server.url)).open();
      const acknowledged: Acknowledged = new Map();
      let isOver = false;
      const writers = Array.from({ length: 4 }, () => write(store, acknowledged, () => isOver));
      await eventually(() => acknowledged.size > 20, Boolean);
      if (how === "killed") await server.kill();
      await server.restart();
      const before = acknowledged.size;
      // The same store works again.
      await eventually(() => acknowledged.size > before + 20, Boolean);
      isOver = true;
      await Promise.all(writers);
      await expectKept(store, acknowledged);
    });

    test("that hangs keeps no connection of a small pool for ever", async () => {
      const server = await serverFor(kind);
      const store = await (await storageWith(kind, server.url, 2)).open();
      const record = newRecord(newOwner());
      await store.create(record, callWithin());
      const rules = { perOwner: 3, total: null, onLimit: "reject", replacing: null } as const;
      await server.pause();
      const calls = [
        ...Array.from({ length: 4 }, async () => store.read(record, callWithin(300))),
        ...Array.from({ length: 4 }, async () => store.admit(newRecord(newOwner()), rules, callWithin(300))),
      ];
      for (const { status } of await Promise.allSettled(calls)) expect(status).toBe("rejected");
      server.resume();
      await eventually(async () => store.read(record, callWithin(1000)));
      const reads = Array.from({ length: 20 }, async () => store.read(record, callWithin()));
      expect(await Promise.all(reads)).toEqual(reads.map(() => record));
      const owner = newOwner();
      const admitted = Array.from({ length: 20 }, async () => store.admit(newRecord(owner), rules, callWithin()));
      expect((await Promise.all(admitted)).filter(({ status }) => status === "created")).toHaveLength(3);
    });

    test("that takes no writes for a while is named as that, and serves reads", async () => {
      const server = await serverFor(kind);
      await setReadOnly(kind, server.url, false);
      const store = await (await storageWith(kind, userOf(kind, server.url))).open();
      const record = newRecord(newOwner());
      await store.create(record, callWithin());
      await setReadOnly(kind, server.url, true);
      const change = { ...record, touchedAt: record.touchedAt + 1 };
      const refusal = await eventually(() => failureOf(() => store.update(record, 9, change, callWithin())), Boolean);
      expect(refusal).toMatchObject({ code: "ERR_STORE_UNAVAILABLE", message: expect.stringContaining("read-only") });
      const rules = { perOwner: 3, total: null, onLimit: "reject", replacing: null } as const;
      await expect(store.admit(newRecord(newOwner()), rules, callWithin())).rejects.toThrow("read-only");
      expect(await store.read(record, callWithin())).toEqual(record);
      await setReadOnly(kind, server.url, false);
      await eventually(() => store.update(record, 1, record, callWithin()));
    });
  });
});

// postgres.js has no means to leave a connection; there it is the system that ends it in the end.
describe.each(kinds.filter(({ name }) => !name.includes("postgres.js")))("the network under $name", (kind) => {
  needsServer(kind.server, (url) => {
    test("may swallow every connection of the pool: the next calls open others", async () => {
      const way = await wayTo(url);
      const store = await (await storageWith(kind, way.url, 2)).open();
      const record = newRecord(newOwner());
      await store.create(record, callWithin());
      const reads = (ms: number) => Array.from({ length: 4 }, async () => store.read(record, callWithin(ms)));
      await Promise.all(reads(20_000));
      way.silence();
      for (const { status } of await Promise.allSettled(reads(300))) expect(status).toBe("rejected");
      expect(await Promise.all(reads(20_000))).toEqual([record, record, record, record]);
    });
  });
});

/** MariaDB lets `root` write all the same. */
function userOf({ kind }: Kind, url: string): string {
  return kind === "mysql" ? url.replace("root@", "app@") : url;
}

async function setReadOnly({ kind }: Kind, url: string, isReadOnly: boolean): Promise<void> {
  if (kind === "mysql") {
    await runSql(kind, url, "CREATE USER IF NOT EXISTS 'app'@'%'");
    await runSql(kind, url, "GRANT ALL ON symbolon.* TO 'app'@'%'");
    await runSql(kind, url, `SET GLOBAL read_only = ${isReadOnly ? 1 : 0}`);
    return;
  }
  await runSql(kind, url, `ALTER SYSTEM SET default_transaction_read_only = ${isReadOnly ? "on" : "off"}`);
  await runSql(kind, url, "SELECT pg_reload_conf()");
}
