/** A program that ends when this process ends, however it ends. */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { closeSync, openSync, readFileSync } from "node:fs";
import { join } from "node:path";
import type { Writable } from "node:stream";
import { CLEAN_ENV, identityOf, requireProgram } from "./programs.ts";

/** What to run. */
export interface Command {
  /** Its name; `findProgram` knows where it is. */
  readonly program: string;
  readonly args: readonly string[];
}

/** Where to run it. */
export interface Place {
  /** The program's working folder; its output is kept there. */
  readonly folder: string;
  /** The system user it runs as when this process is root; some servers refuse to be root. */
  readonly user: string | null;
}

export interface WatchedProcess {
  readonly pid: number;
  /** Resolves with the exit code, null after a signal. */
  readonly ended: Promise<number | null>;
  readonly hasEnded: () => boolean;
  /** The last lines it wrote. */
  readonly outputTail: () => string;
}

// The shell becomes the program, so that the program has the process id that Node knows. What watches is a grandchild:
// a server may take fright at a child that it never started. It reads a line from Node; where the line never comes,
// Node is gone.
const WATCHDOG = `
( { read -r ended || kill -KILL $$ $(cat /proc/$$/task/$$/children); } <&3 & )
exec "$@" 3<&-
`;

const OUTPUT_LINES = 40;

/** Starts a program; its output of before is forgotten. */
export function spawnWatched({ program, args }: Command, { folder, user }: Place): WatchedProcess {
  const output = join(folder, "output.log");
  const log = openSync(output, "w");
  const child = spawn("sh", ["-c", WATCHDOG, "sh", requireProgram(program), ...args], {
    cwd: folder,
    // MariaDB clears the folder for temporary files as it starts, of the files of other servers too.
    env: { ...CLEAN_ENV, TMPDIR: folder },
    // A group of its own: Ctrl-C in the terminal is for this process, which stops its servers in order.
    detached: true,
    // Not the standard input: Node closes that itself when the program ends.
    stdio: ["ignore", log, log, "pipe"],
    ...(user === null ? {} : identityOf(user)),
  });
  closeSync(log);
  const { pid } = child;
  if (pid === undefined) throw new Error(`There is no sh to start ${program} with.`);
  const watchdog = child.stdio[3] as Writable;
  // A watchdog that somebody ended reads no more.
  watchdog.on("error", () => {});
  let hasEnded = false;
  const ended = once(child, "exit").then(([code]) => {
    hasEnded = true;
    watchdog.end("ended\n");
    return code as number | null;
  });
  return {
    pid,
    ended,
    hasEnded: () => hasEnded,
    outputTail: () => readFileSync(output, "utf8").trimEnd().split("\n").slice(-OUTPUT_LINES).join("\n"),
  };
}

/** Runs a program to its end. */
export async function runWatched(command: Command, place: Place): Promise<void> {
  const started = spawnWatched(command, place);
  const code = await started.ended;
  if (code !== 0) throw new Error(`${command.program} ended with ${code}:\n${started.outputTail()}`);
}
