/** Folders of files, for tests that open a store in several processes. */
import { existsSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileStore } from "symbolon/stores/file";

export const variants = [{ name: "fileStore", server: null }];

// In memory where the system offers it: disks differ too much in what a new file costs.
const folder = existsSync("/dev/shm") ? "/dev/shm" : tmpdir();

export function prepare() {
  return { root: mkdtempSync(join(folder, "symbolon-target-")) };
}

export function open({ root, options }) {
  const store = fileStore(root, options);
  return { store, close: () => store.close() };
}

export function drop({ root }) {
  rmSync(root, { recursive: true, force: true });
}
