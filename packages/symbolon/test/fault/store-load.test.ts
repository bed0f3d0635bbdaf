/**
 * Four processes work on 50 000 sessions of one storage; then what it holds agrees with everything that it acknowledged.
 * `npm run scale` does the same for a minute, on a million.
 */
import { expect, test } from "vitest";
import { describeEvery, type NamedVariant, onePerServer } from "../support/every-variant.ts";
import { storageFor } from "../support/targets.ts";
import { ROOT } from "../package/workspace.ts";

const SESSIONS = 50_000;
const SECONDS = 5;

// As it is built, because its processes are.
const { startExactLoad } = (await import(
  new URL("bench/dist/scale/exact-load.js", ROOT).href
)) as typeof import("../../../../bench/scale/exact-load.ts");

/** A load is the client's only a little, and takes its time: one client for each kind of server will do. */
describeEvery("four processes", "store", registerLoad, onePerServer);

function registerLoad({ kind, target, variant, url }: NamedVariant): void {
  test("leave index, counts and records that agree, no update lost and no session revived", async () => {
    const storage = await storageFor(target, variant, url);
    const store = await storage.open();
    const load = await startExactLoad(kind, storage.where, store);
    try {
      await load.crew.preload({ users: "user", sessions: SESSIONS, perUser: 10 });
      const results = await load.crew.runFor(SECONDS);
      const account = await load.close(results);
      expect(account.faults).toEqual([]);
      expect(account.created).toBeGreaterThan(SESSIONS);
      expect(Math.min(account.updates, account.ended)).toBeGreaterThan(0);
      expect(account.live).toBe(account.created - account.ended);
    } finally {
      load.crew.end();
    }
  }, 120_000);
}
