/** What the file store reads while another process removes it. */
import { mkdirSync, mkdtempSync, rmdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, onTestFinished, test } from "vitest";
import { namesIn } from "../../src/stores/shared/file-system.ts";

test("a folder that is removed while it is looked for is an empty one", async () => {
  const root = mkdtempSync(join(tmpdir(), "symbolon-names-"));
  onTestFinished(() => rmSync(root, { recursive: true, force: true }));
  const folder = join(root, "expiry");
  for (let round = 0; round < 500; round++) {
    mkdirSync(folder);
    const looking = Array.from({ length: 8 }, () => namesIn(root, "expiry"));
    // Before, between and after the steps of those who look.
    for (let turn = 0; turn < round % 5; turn++) await new Promise((resolve) => setImmediate(resolve));
    rmdirSync(folder);
    expect(new Set((await Promise.all(looking)).flat())).toEqual(new Set());
  }
});
