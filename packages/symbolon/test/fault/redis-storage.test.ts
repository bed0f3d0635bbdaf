import type { Redis } from "ioredis";
import type { Admission, AdmissionRules, OwnerKey, StoredRecord, StoreWarning } from "symbolon";
import { describe, expect, test } from "vitest";
import { needsServer } from "../support/servers.ts";
import { adminOf, call, HOUR, newChange, newRecord, openOn, ownServer, reopen } from "./redis-setup.ts";

const CLIENTS = ["ioredis", "iovalkey", "node-redis"] as const;
const LOGOUT = { reason: "logout", at: Date.now() };
const ALL = { cursor: null, limit: 100 };
const TOTAL_3: AdmissionRules = { perOwner: 1, total: 3, onLimit: "evict-oldest", replacing: null };

/** A record of the same user. */
function another(of: StoredRecord & OwnerKey) {
  return newRecord({ ...of, lookup: newRecord().lookup });
}

async function opened() {
  const server = await ownServer();
  const { store, where } = await openOn(server.url);
  return { store, where, admin: adminOf(server), prefix: where.options.prefix ?? "" };
}

const bucketOf = ({ route }: StoredRecord): string => `{${route % 128}}`;

const sizes = async (admin: Redis, prefix: string, record: StoredRecord): Promise<number[]> =>
  Promise.all(["expiry", "index"].map((name) => admin.zcard(`${prefix}${bucketOf(record)}:${name}`)));

const near = (life: number, wanted: number): boolean => Math.abs(life - wanted) < 60_000;

const inSpace = (count: number): (StoredRecord & OwnerKey)[] =>
  Array.from({ length: count }, () => newRecord({ space: "space" }));

function createdOf(admissions: readonly Admission[]): number {
  return admissions.filter(({ status }) => status === "created").length;
}

needsServer("redis", (shared) => {
  test("every key begins with the prefix, and those of one user share a slot and nothing else does", async () => {
    const { store, admin, prefix } = await opened();
    const record = newRecord({ tenant: "tenant" });
    await store.create(record, call());
    await store.acquireLock({ ...record, lock: "lock" }, "ann", HOUR, call());
    const names = (await admin.keys("*")).map((name) => name.replace(prefix, "")).toSorted();
    const bucket = bucketOf(record);
    expect(names).toEqual(
      [
        "layout",
        ...[`r:${record.space}:${record.lookup}`, "expiry", "index", "fence", `l:${record.space}:lock`].map(
          (name) => `${bucket}:${name}`,
        ),
      ].toSorted(),
    );
  });

  test("stores under two prefixes never meet", async () => {
    const { store, where } = await opened();
    const others = await Promise.all(
      ["a:", "a:b:", "a:b.", "ab:"].map((prefix) => reopen({ ...where, options: { prefix } })),
    );
    const record = newRecord();
    for (const { store: other } of others) {
      expect(await other.read(record, call())).toBeNull();
      expect(await other.create(record, call())).toBe("created");
    }
    expect(await store.read(record, call())).toBeNull();
    for (const { store: other } of others) expect(await other.countByOwner(record, call())).toBe(1);
  });

  test("an entry outlives its deadline by an hour, so that pruning finds it, and then ends by itself", async () => {
    const { store, admin, prefix } = await opened();
    const lives = async (record: StoredRecord): Promise<number> =>
      admin.pttl(`${prefix}${bucketOf(record)}:r:${record.space}:${record.lookup}`);
    const record = newRecord();
    await store.create(record, call());
    expect(near(await lives(record), 2 * HOUR)).toBe(true);
    await store.update(record, 1, { ...newChange(), deadline: Date.now() + 5 * HOUR }, call());
    expect(near(await lives(record), 6 * HOUR)).toBe(true);
    await store.delete(record, LOGOUT, call());
    expect(near(await lives(record), 6 * HOUR)).toBe(true);
    const past = newRecord({ deadline: Date.now() - 9 * HOUR });
    await store.create(past, call());
    expect(near(await lives(past), 60_000)).toBe(true);
    const endless = newRecord({ deadline: Date.now() + 10_000 * 24 * HOUR });
    await store.create(endless, call());
    expect(near(await lives(endless), 400 * 24 * HOUR)).toBe(true);
  });

  test("the references of what ended by itself go with the next writes, without a pruner", async () => {
    const { store, admin, prefix } = await opened();
    const first = newRecord({ tenant: "tenant" });
    const old = Array.from({ length: 5 }, () => another(first));
    for (const record of old) await store.create(record, call());
    const expiry = `${prefix}${bucketOf(first)}:expiry`;
    const ages = [25, 25, 25, 25, 23];
    for (const [index, reference] of (await admin.zrange(expiry, "0", "-1")).entries()) {
      await admin.zadd(expiry, Date.now() - (ages[index] ?? 0) * HOUR, reference);
    }
    expect(await sizes(admin, prefix, first)).toEqual([5, 15]);
    await store.create(first, call());
    // A day past its deadline, and not before: clocks may differ. Each record has three members in the index.
    expect(await sizes(admin, prefix, first)).toEqual([2, 6]);
  });

  test("an update puts back the references that a record has lost", async () => {
    const { store, admin, prefix } = await opened();
    const record = newRecord({ tenant: "tenant" });
    await store.create(record, call());
    for (const name of ["expiry", "index"]) await admin.del(`${prefix}${bucketOf(record)}:${name}`);
    expect(await store.countByOwner(record, call())).toBe(0);
    await store.update(record, 1, newChange(), call());
    expect(await store.countByOwner(record, call())).toBe(1);
    const { records } = await store.listByTenant({ space: record.space, tenant: "tenant" }, ALL, call());
    expect(records.map(({ lookup }) => lookup)).toEqual([record.lookup]);
    expect(await store.prune(Date.now() + 2 * HOUR, 10, call())).toBe(1);
  });

  test("a record that somebody else removed keeps nobody out, and is forgotten when its place is needed", async () => {
    const { store, admin, prefix } = await opened();
    const record = newRecord();
    await store.create(record, call());
    await admin.del(`${prefix}${bucketOf(record)}:r:${record.space}:${record.lookup}`);
    const rules: AdmissionRules = { perOwner: 1, total: null, onLimit: "evict-oldest", replacing: null };
    expect(await store.admit(another(record), rules, call())).toEqual({ status: "created", evicted: [] });
    expect(await store.countByOwner(record, call())).toBe(1);
    await store.create(record, call());
    await admin.del(`${prefix}${bucketOf(record)}:r:${record.space}:${record.lookup}`);
    expect(await store.deleteByOwner(record, [], LOGOUT, call())).toBe(1);
    expect(await store.countByOwner(record, call())).toBe(0);
  });

  test("nothing is left once records were ended and pruned", async () => {
    const { store, admin, prefix } = await opened();
    for (let index = 0; index < 40; index++) {
      const record = newRecord({ tenant: "tenant", space: "space" });
      await store.admit(record, { ...TOTAL_3, total: 100 }, call());
      if (index % 2 === 0) await store.delete(record, LOGOUT, call());
    }
    expect(await store.prune(Date.now() + 2 * HOUR, 1000, call())).toBe(40);
    expect(await admin.keys("*")).toEqual([`${prefix}layout`]);
  });

  test("counts what it ends for a tenant, however many there are in however many buckets", async () => {
    const { store } = await opened();
    const records = Array.from({ length: 1500 }, (_, index) => newRecord({ space: "space", route: index * 3 }));
    const crowded = Array.from({ length: 500 }, () => newRecord({ space: "space", route: 7 }));
    await Promise.all([...records, ...crowded].map(async (record) => store.create(record, call())));
    expect(await store.countByTenant({ space: "space", tenant: null }, call())).toBe(2000);
    expect(await store.countOwners({ space: "space", tenant: null }, call())).toBe(2000);
    expect(await store.deleteByTenant({ space: "space", tenant: null }, LOGOUT, call())).toBe(2000);
    expect(await store.countByTenant({ space: "space", tenant: null }, call())).toBe(0);
    expect(await store.read(crowded[499]!, call())).toMatchObject({ reason: "logout" });
  });

  describe("under a limit of all users", () => {
    test("fifty at once on two handles get exactly the three places", async () => {
      const { store, where, admin, prefix } = await opened();
      const { store: other } = await reopen(where);
      const answers = await Promise.all(
        inSpace(50).map(async (record, index) => (index % 2 === 0 ? store : other).admit(record, TOTAL_3, call())),
      );
      expect(createdOf(answers)).toBe(3);
      expect(await store.countByTenant({ space: "space", tenant: null }, call())).toBe(3);
      expect(await admin.exists(`${prefix}{space}:reservations`)).toBe(0);
    });

    test("a place that a crashed process reserved is taken for a minute, and then free", async () => {
      const { store, admin, prefix } = await opened();
      const key = `${prefix}{space}:reservations`;
      const reserve = (secondsAgo: number): Promise<number> =>
        admin.zadd(key, (Date.now() - secondsAgo * 1000) * 1000, `5 t.space..${secondsAgo}.lookup.owner. id`);
      await reserve(55);
      const answers: Admission[] = [];
      for (const record of inSpace(4)) answers.push(await store.admit(record, TOTAL_3, call()));
      expect(createdOf(answers)).toBe(2);
      await admin.del(key);
      await reserve(61);
      expect(await store.admit(newRecord({ space: "space" }), TOTAL_3, call())).toMatchObject({ status: "created" });
    });

    test("what a reservation stands for is not counted twice once it is stored", async () => {
      const { store, admin, prefix } = await opened();
      const stored = newRecord({ space: "space" });
      await store.create(stored, call());
      const [member = ""] = await admin.zrangebylex(`${prefix}${bucketOf(stored)}:index`, "[t.", "(t/");
      await admin.zadd(`${prefix}{space}:reservations`, Date.now() * 1000, `${stored.route % 128} ${member} id`);
      const answers: Admission[] = [];
      for (const record of inSpace(3)) answers.push(await store.admit(record, TOTAL_3, call()));
      expect(createdOf(answers)).toBe(2);
    });
  });

  describe.each(CLIENTS)("with `wait`, over %s", (client) => {
    async function endingOn(url: string, replicas: number): Promise<string[]> {
      const { store } = await openOn(url, client, { wait: { replicas, timeout: 200 } });
      const heard: StoreWarning[] = [];
      store.onWarning((warning) => void heard.push(warning));
      const [record, other] = [newRecord(), newRecord()];
      for (const one of [record, other]) await store.create(one, call());
      expect(heard).toEqual([]);
      expect(await store.delete(record, LOGOUT, call())).toBe(true);
      expect(await store.deleteByOwner(other, [], LOGOUT, call())).toBe(1);
      for (const one of [record, other]) expect(await store.read(one, call())).toMatchObject({ reason: "logout" });
      return [...new Set(heard.map(({ code }) => code))];
    }

    test("ends sessions also when no replica hears of it, and warns", async () => {
      expect(await endingOn(shared, 1)).toEqual(["replication-late"]);
    });

    needsServer("sentinel", (url) => {
      test("warns of nothing where two replicas hear of it", async () => {
        expect(await endingOn(url, 2)).toEqual([]);
      });
    });

    needsServer("cluster", (url) => {
      test("asks the master that has the key, in a Cluster", async () => {
        expect(await endingOn(url, 1)).toEqual([]);
        expect(await endingOn(url, 2)).toEqual(["replication-late"]);
      });
    });
  });

  test("the client stays the application's", async () => {
    const { where } = await opened();
    const { store } = await reopen(where);
    await store.close();
    expect(await store.read(newRecord(), call())).toBeNull();
  });
});
