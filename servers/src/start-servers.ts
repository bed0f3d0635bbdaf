/** The servers that a test run, or a benchmark, uses. */
import { installPackages } from "./install.ts";
import { startMariadb } from "./mariadb.ts";
import { startMemcached } from "./memcached.ts";
import { startPostgres } from "./postgres.ts";
import { findProgram } from "./programs.ts";
import { startRedisCluster } from "./redis-cluster.ts";
import { startRedisSentinel } from "./redis-sentinel.ts";
import { startRedis } from "./redis.ts";

/** Where each server is; null where there is none. */
export type ServerUrls = Readonly<Record<ServerName, string | null>>;

/** `redis` is a single one; `sentinel` and `cluster` are groups of it. */
export type ServerName = "redis" | "sentinel" | "cluster" | "postgres" | "mariadb" | "memcached";

export interface StartedServers {
  readonly urls: ServerUrls;
  /** For each server that there is none of, one line that says what to do. */
  readonly missing: readonly string[];
  /** Stops what was started; a server that a variable named is left alone. */
  stop(): Promise<void>;
}

/** What a server needs, and how it starts. */
interface Entry {
  readonly variable: string;
  readonly programs: readonly string[];
  /** The Debian package of the programs. */
  readonly debian: string;
  start(): Promise<Started>;
}

interface Started {
  readonly url: string;
  stop(): Promise<void>;
}

const REDIS = { programs: ["redis-server", "redis-cli"], debian: "redis-server" } as const;

const ENTRIES: Readonly<Record<ServerName, Entry>> = {
  redis: { variable: "SYMBOLON_REDIS_URL", ...REDIS, start: startRedis },
  sentinel: { variable: "SYMBOLON_SENTINEL_URL", ...REDIS, start: startRedisSentinel },
  cluster: { variable: "SYMBOLON_CLUSTER_URL", ...REDIS, start: startRedisCluster },
  postgres: {
    variable: "SYMBOLON_POSTGRES_URL",
    programs: ["postgres", "initdb", "psql"],
    debian: "postgresql",
    start: startPostgres,
  },
  mariadb: {
    variable: "SYMBOLON_MARIADB_URL",
    programs: ["mariadbd", "mariadb-install-db", "mariadb"],
    debian: "mariadb-server",
    start: startMariadb,
  },
  memcached: {
    variable: "SYMBOLON_MEMCACHED_URL",
    programs: ["memcached"],
    debian: "memcached",
    start: startMemcached,
  },
};
const NAMES = Object.keys(ENTRIES) as ServerName[];

/**
 * Starts all servers at the same time; installs them first where that is possible.
 *
 * A variable such as `SYMBOLON_REDIS_URL` names a server to use instead of starting one. `SYMBOLON_SERVERS=off` starts
 * none at all.
 *
 * @throws {Error} when a server that is installed does not start.
 */
export async function startServers(): Promise<StartedServers> {
  const given = NAMES.filter((name) => givenUrl(name) !== null);
  const wanted = isOff() ? [] : NAMES.filter((name) => !given.includes(name));
  const problem = await installPackages(packagesOf(wanted.filter((name) => !isInstalled(name))));
  const startable = wanted.filter((name) => isInstalled(name));
  const started = await startAll(startable);
  const missing = NAMES.filter((name) => !given.includes(name) && !startable.includes(name));
  const urlOf = (name: ServerName): string | null => givenUrl(name) ?? started.get(name)?.url ?? null;
  return {
    urls: Object.fromEntries(NAMES.map((name) => [name, urlOf(name)])) as ServerUrls,
    missing: missing.map((name) => adviceFor(name, problem)),
    stop: () => stopAll(started),
  };
}

/** The variable that names a server, for those who print one. */
export function variableOf(name: ServerName): string {
  return ENTRIES[name].variable;
}

async function startAll(names: readonly ServerName[]): Promise<Map<ServerName, Started>> {
  const started = new Map<ServerName, Started>();
  const outcomes = await Promise.allSettled(
    names.map(async (name) => void started.set(name, await ENTRIES[name].start())),
  );
  const failure = outcomes.find((outcome) => outcome.status === "rejected");
  if (failure === undefined) return started;
  await stopAll(started);
  throw failure.reason;
}

async function stopAll(started: ReadonlyMap<ServerName, Started>): Promise<void> {
  await Promise.all([...started.values()].map((server) => server.stop()));
}

function givenUrl(name: ServerName): string | null {
  return process.env[ENTRIES[name].variable] || null;
}

function isInstalled(name: ServerName): boolean {
  return ENTRIES[name].programs.every((program) => findProgram(program) !== null);
}

function packagesOf(names: readonly ServerName[]): string[] {
  return [...new Set(names.map((name) => ENTRIES[name].debian))];
}

function adviceFor(name: ServerName, problem: string | null): string {
  const { debian, variable } = ENTRIES[name];
  if (isOff()) return `${name}: SYMBOLON_SERVERS is off; set ${variable}`;
  return `${name}: install ${debian} or set ${variable} (${problem ?? `${debian} lacks a program`})`;
}

function isOff(): boolean {
  return process.env["SYMBOLON_SERVERS"] === "off";
}
