/** The programs of the servers: where they are, who runs them, and asking them something. */
import { execFile, execFileSync } from "node:child_process";
import { accessSync, constants, existsSync, readdirSync } from "node:fs";
import { join } from "node:path";

/** Settings of the person who runs this stay out: servers must behave and speak the same everywhere. */
export const CLEAN_ENV: Readonly<Record<string, string>> = {
  PATH: `${process.env["PATH"] ?? "/usr/bin:/bin"}:/usr/sbin:/sbin`,
  LC_ALL: "C",
};

/** Debian keeps the programs of each PostgreSQL version apart. */
const POSTGRES_VERSIONS = "/usr/lib/postgresql";

/** The path of a program, or null. */
export function findProgram(name: string): string | null {
  const paths = searchPath().map((folder) => join(folder, name));
  return paths.find((path) => isExecutable(path)) ?? null;
}

/** The path of a program that has to be there. */
export function requireProgram(name: string): string {
  const path = findProgram(name);
  if (path === null) throw new Error(`There is no program ${name}; install it, or put its folder in PATH.`);
  return path;
}

/** Runs a client program, and answers what it printed; null when it failed or took too long. */
export function ask(program: string, args: readonly string[], timeoutMs = 5_000): Promise<string | null> {
  return new Promise((resolve) => {
    execFile(requireProgram(program), args, { env: CLEAN_ENV, timeout: timeoutMs }, (error, stdout) =>
      resolve(error === null ? stdout : null),
    );
  });
}

/** The numbers of a system user, or nothing where this process may not become somebody else. */
export function identityOf(user: string): { uid?: number; gid?: number } {
  if (process.getuid?.() !== 0) return {};
  const numberOf = (flag: string): number => Number(execFileSync("id", [flag, user], { encoding: "utf8" }));
  return { uid: numberOf("-u"), gid: numberOf("-g") };
}

function searchPath(): string[] {
  const versions = existsSync(POSTGRES_VERSIONS) ? readdirSync(POSTGRES_VERSIONS) : [];
  const newestFirst = versions.toSorted((a, b) => Number(b) - Number(a));
  return [
    ...newestFirst.map((version) => join(POSTGRES_VERSIONS, version, "bin")),
    ...(CLEAN_ENV["PATH"] ?? "").split(":"),
  ];
}

function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}
