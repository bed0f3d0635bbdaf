/** A folder that goes when this process ends, however it ends. */
import { spawn } from "node:child_process";
import { randomBytes } from "node:crypto";
import { chownSync, mkdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { CLEAN_ENV, identityOf } from "./programs.ts";

export interface WatchedFolder {
  readonly path: string;
  remove(): void;
}

// It reads a line from Node; where the line never comes, Node is gone. Whoever worked in the folder ends then too, but
// may still be writing for a moment.
const WATCHDOG = 'read -r removed || for try in 1 2 3 4 5 6 7 8 9; do sleep 0.2; rm -rf "$0" && break; done';

/** Makes a folder for temporary files; `user` names its owner, where this process may give it away. */
export function makeWatchedFolder(name: string, user: string | null): WatchedFolder {
  const path = join(tmpdir(), `symbolon-${name}-${randomBytes(6).toString("hex")}`);
  // Before the folder is there, or it could be left in between.
  const { stdin: watchdog } = spawn("sh", ["-c", WATCHDOG, path], {
    env: CLEAN_ENV,
    detached: true,
    stdio: ["pipe", "ignore", "ignore"],
  });
  // A watchdog that somebody ended reads no more.
  watchdog.on("error", () => {});
  mkdirSync(path, { mode: 0o700 });
  const { uid, gid } = user === null ? {} : identityOf(user);
  if (uid !== undefined && gid !== undefined) chownSync(path, uid, gid);
  return {
    path,
    remove() {
      rmSync(path, { recursive: true, force: true });
      watchdog.end("removed\n");
    },
  };
}
