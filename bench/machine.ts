/** On what, with what and when was measured: figures without that are worth nothing. */
import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { cpus, loadavg, platform, release, totalmem } from "node:os";

export interface Machine {
  readonly date: string;
  readonly node: string;
  readonly cpu: string;
  readonly memory: string;
  readonly system: string;
  /** Processes that wanted to run in the last minute: above the number of cores, figures are noise. */
  readonly load: number;
  readonly cores: number;
  readonly servers: readonly string[];
  readonly packages: Readonly<Record<string, string>>;
}

export function describeMachine(): Machine {
  const [first] = cpus();
  return {
    date: new Date().toISOString(),
    node: process.version,
    cpu: first?.model ?? "unknown",
    memory: `${Math.round(totalmem() / 2 ** 30)} GiB`,
    system: `${platform()} ${release()}`,
    load: Number((loadavg()[0] ?? 0).toFixed(1)),
    cores: cpus().length,
    servers: [versionOf("redis-server"), versionOf("postgres")].flat(),
    packages: packageVersions(),
  };
}

function versionOf(program: string): string[] {
  try {
    return execFileSync(program, ["--version"], { encoding: "utf8" }).trim().split("\n").slice(0, 1);
  } catch {
    return [];
  }
}

/** What is installed, not what is asked for. */
function packageVersions(): Record<string, string> {
  const { paths } = { paths: createRequire(import.meta.url).resolve.paths("x") ?? [] };
  const { dependencies } = readJson(new URL("../package.json", import.meta.url)) as {
    dependencies: Record<string, string>;
  };
  const versions = Object.keys(dependencies)
    .filter((name) => name !== "symbolon-servers")
    .map((name) => [name, installedVersion(name, paths)]);
  return Object.fromEntries(versions) as Record<string, string>;
}

function installedVersion(name: string, folders: readonly string[]): string {
  for (const folder of folders) {
    try {
      return (readJson(`${folder}/${name}/package.json`) as { version: string }).version;
    } catch {
      // In one of the folders further up.
    }
  }
  return "not found";
}

function readJson(path: string | URL): unknown {
  return JSON.parse(readFileSync(path, "utf8"));
}
