/** What work with a file store costs when there is much that it does not concern. */
import { execFile } from "node:child_process";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import type { FileStore } from "symbolon/stores/file";
import { expect, test } from "vitest";
import { callAt, EVICTING, HOUR, newRecord, newRoot, NOW, openStore, startDying } from "./file-stage.ts";

const OTHERS = 150;

/** How often the work opens a file, makes, renames or removes something, in a process of its own. */
async function stepsOf(root: string, method: keyof FileStore, ...args: unknown[]): Promise<number> {
  for (let step = 1; step < OTHERS; step *= 2) {
    const { nextLine } = await startDying({ root, step, how: "SIGKILL", method, args });
    if ((await nextLine()) !== "dying") return step;
  }
  throw new Error(`${method} takes ${OTHERS} steps and more`);
}

test("Pruning, and what concers one user, looks at no other's files, though they share a folder", async () => {
  const root = newRoot();
  const store = openStore(root);
  const own = newRecord();
  for (const record of [own, newRecord()]) await store.create(record, callAt());
  await Promise.all(
    Array.from({ length: OTHERS }, async (_, index) => {
      const other = { route: own.route + 1 + index, owner: `other ${index}`, deadline: NOW + 5 * HOUR };
      await store.create(newRecord(other), callAt());
    }),
  );
  const few = 32;
  expect(await stepsOf(root, "countByOwner", own)).toBeLessThan(few);
  expect(await stepsOf(root, "admit", newRecord(), EVICTING)).toBeLessThanOrEqual(few);
  expect(await stepsOf(root, "prune", NOW + HOUR / 2, 100)).toBeLessThan(few);
  expect(await store.countByTenant({ space: own.space, tenant: null }, callAt())).toBeGreaterThan(OTHERS);
});

test("A thousand calls at once open no more files than a process may", async () => {
  const script = `
    import { fileStore } from "symbolon/stores/file";
    const store = fileStore(process.argv[1]);
    const call = () => ({ now: 0, signal: new AbortController().signal });
    const record = { space: "s", route: 1, lookup: "l", owner: "o", tenant: null, createdAt: 0, touchedAt: 0 };
    const sealed = { deadline: 1e12, version: 1, envelope: new Uint8Array(100), data: null };
    const records = Array.from({ length: 1000 }, (_, index) => ({ ...record, ...sealed, lookup: "l" + index }));
    await Promise.all(records.map((one) => store.create(one, call())));
    const found = await Promise.all(records.map((one) => store.read(one, call())));
    console.log(found.filter((one) => one !== null).length, await store.countByOwner(record, call()));
  `;
  const command = 'ulimit -n 128; exec "$1" --input-type=module -e "$2" "$3"';
  const args = ["-c", command, "sh", process.execPath, script, newRoot()];
  const cwd = fileURLToPath(new URL("../..", import.meta.url));
  const { stdout } = await promisify(execFile)("sh", args, { cwd });
  expect(stdout).toBe("1000 1000\n");
});
