/** Where things are in the repository, and how its tools are run. */
import { execFile } from "node:child_process";
import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";

/** The root of the repository and of the package. */
export const ROOT: URL = new URL("../../../../", import.meta.url);
export const PACKAGE: URL = new URL("../../", import.meta.url);

/** What is read of a package.json. */
export interface Manifest {
  readonly version: string;
  readonly bin?: string | Readonly<Record<string, string>>;
  readonly dependencies?: Readonly<Record<string, string>>;
  readonly exports?: Readonly<Record<string, string | { readonly types: string; readonly default: string }>>;
}

export function readManifest(folder: URL): Manifest {
  return JSON.parse(readFileSync(new URL("package.json", folder), "utf8")) as Manifest;
}

/** What a finished program left. */
export interface Finished {
  readonly code: number;
  readonly output: string;
}

/** Runs a program to its end; both streams are kept in `output`. */
export function run(program: string, args: readonly string[], cwd: string): Promise<Finished> {
  return new Promise((resolve, reject) => {
    // The command line of the test runner is not the program's: npm would read the outer npm's settings as its own.
    const outer = /^(?:npm_|NODE_OPTIONS$|VITEST)/;
    const env = Object.fromEntries(Object.entries(process.env).filter(([name]) => !outer.test(name)));
    // npm is a .cmd file on Windows; nothing here comes from outside.
    const shell = program === "npm" && process.platform === "win32";
    execFile(program, args, { cwd, env, shell, maxBuffer: 2 ** 26 }, (error, stdout, stderr) => {
      if (error !== null && typeof error.code !== "number") return reject(error);
      resolve({ code: typeof error?.code === "number" ? error.code : 0, output: stdout + stderr });
    });
  });
}

/** Runs a tool of the workspace with this Node, as its own bin entry says. */
export function runTool(name: string, bin: string, args: readonly string[], cwd: string): Promise<Finished> {
  const folder = new URL(`node_modules/${name}/`, ROOT);
  const entry = readManifest(folder).bin;
  const path = typeof entry === "string" ? entry : entry?.[bin];
  if (path === undefined) throw new Error(`The package ${name} has no command ${bin}.`);
  return run(process.execPath, [fileURLToPath(new URL(path, folder)), ...args], cwd);
}
