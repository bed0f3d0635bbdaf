/**
 * Four processes work on 50 000 sessions of one storage; then what it holds agrees with everything that it acknowledged.
 * `npm run scale` does the same for a minute, on a million.
 */
import { expect, test } from "vitest";
import { describeEvery, type NamedVariant, onePerServer } from "../support/every-variant.ts";
import { storageFor } from "../support/targets.ts";
import { ROOT } from "../package/workspace.ts";

const SESSIONS = 50_000;
/** Files are written one by one, and a memcached of the tests would evict. */
const FEWER = new Map([
  ["file", 3_000],
  ["memcached", 5_000],
]);
const SECONDS = 5;

// As it is built, because its processes are.
const { startExactLoad } = (await import(
  new URL("bench/dist/scale/exact-load.js", ROOT).href
)) as typeof import("../../../../bench/scale/exact-load.ts");

// It takes its time, and hardly depends on the client: one for each kind of server will do.
// The master of a Sentinel is a Redis like any other.
const variants = onePerServer.filter(({ variant }) => variant.server !== "sentinel");

describeEvery("four processes", "store", registerLoad, variants);

function registerLoad({ kind, target, variant, url }: NamedVariant): void {
  test("leave index, counts and records that agree, no update lost and no session revived", async () => {
    const sessions = FEWER.get(kind) ?? SESSIONS;
    const storage = await storageFor(target, variant, url);
    const store = await storage.open();
    const load = await startExactLoad(kind, storage.where, store);
    try {
      await load.crew.preload({ users: "user", sessions, perUser: 10 });
      await load.crew.runFor(SECONDS);
      const account = await load.close();
      expect(account.faults).toEqual([]);
      expect(account.created).toBeGreaterThan(sessions);
      expect(Math.min(account.updates, account.ended)).toBeGreaterThan(0);
      expect(account.live).toBe(account.created - account.ended);
    } finally {
      load.crew.end();
    }
  }, 300_000);
}
