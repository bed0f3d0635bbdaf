import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import type { Closing, Invalidations } from "symbolon";
import type { PostgresStore } from "symbolon/stores/postgres";
import { type Server, startPostgres } from "symbolon-servers";
import { describe, expect, onTestFinished, test } from "vitest";
import { needsServer } from "../support/servers.ts";
import { storageFor } from "../support/targets.ts";
import * as target from "../targets/postgres.mjs";
import { callWithin, eventually, newRecord, runSql } from "./sql-setup.ts";

type TellingStore = PostgresStore & Invalidations & Closing;

/** What a listener was told, in order. */
async function listen(store: TellingStore): Promise<{ readonly heard: string[]; readonly stop: () => unknown }> {
  const heard: string[] = [];
  const stop = await store.subscribe(
    {
      changed: (lookup) => void heard.push(lookup),
      released: () => undefined,
      lost: () => void heard.push("lost"),
      restored: () => void heard.push("restored"),
    },
    callWithin(),
  );
  return { heard, stop };
}

async function serverOfItsOwn(): Promise<Server> {
  const server = await startPostgres();
  onTestFinished(() => server.stop());
  return server;
}

/** Updates a record, and insists that it is told of. */
async function expectTold(store: TellingStore, heard: readonly string[]): Promise<void> {
  const record = newRecord({});
  await eventually(() => store.create(record, callWithin()));
  await eventually(() => store.update(record, 1, record, callWithin()));
  await eventually(() => heard.includes(record.lookup), Boolean);
}

setFlagsFromString("--expose-gc");
const collectGarbage = runInNewContext("gc") as () => void;

const LISTENING = "SELECT pid FROM pg_stat_activity WHERE query ILIKE 'listen%' OR query = 'SELECT 1'";

describe.each(target.variants.filter(({ invalidations }) => invalidations))("a listener on $name", (variant) => {
  needsServer("postgres", () => {
    test("is told that it may have missed something when its connection is cut, and hears on", async () => {
      const server = await serverOfItsOwn();
      const store = (await (await storageFor(target, variant, server.url)).open()) as TellingStore;
      const { heard } = await listen(store);
      await expectTold(store, heard);
      for (let cut = 1; cut <= 2; cut++) {
        heard.length = 0;
        await runSql("postgres", server.url, `SELECT pg_terminate_backend(pid) FROM (${LISTENING}) listening`);
        await eventually(() => heard.length >= 2, Boolean);
        expect(heard.slice(0, 2)).toEqual(["lost", "restored"]);
        await expectTold(store, heard);
      }
    });

    test("is told when nothing answers any more, and when it does again", async () => {
      const server = await serverOfItsOwn();
      const store = (await (await storageFor(target, variant, server.url)).open()) as TellingStore;
      const { heard } = await listen(store);
      await server.pause();
      // The collector must not have what is to end the wait.
      await eventually(() => (collectGarbage(), heard.includes("lost")), Boolean);
      server.resume();
      await eventually(() => heard.includes("restored"), Boolean);
      await expectTold(store, heard);
    });

    test("is refused while the server is down, and may come again", async () => {
      const server = await serverOfItsOwn();
      const store = (await (await storageFor(target, variant, server.url)).open()) as TellingStore;
      await server.kill();
      await expect(listen(store)).rejects.toMatchObject({ code: "ERR_STORE_UNAVAILABLE" });
      await server.restart();
      const { heard } = await eventually(() => listen(store));
      await expectTold(store, heard);
    });

    test("leaves nothing that listens when it stops, and none can come after the store is closed", async () => {
      const server = await serverOfItsOwn();
      const store = (await (await storageFor(target, variant, server.url)).open()) as TellingStore;
      const listening = (): Promise<unknown[]> => runSql("postgres", server.url, LISTENING);
      const [one, other] = [await listen(store), await listen(store)];
      expect(await listening()).toHaveLength(1);
      await one.stop();
      await expectTold(store, other.heard);
      await other.stop();
      await eventually(listening, ({ length }) => length === 0);
      const { heard } = await listen(store);
      await expectTold(store, heard);
      await store.close();
      await eventually(listening, ({ length }) => length === 0);
      await expect(listen(store)).rejects.toMatchObject({ code: "ERR_STORE_UNAVAILABLE" });
      expect(await store.read(newRecord({}), callWithin())).toBeNull();
    });
  });
});
