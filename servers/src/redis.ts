import { ask } from "./programs.ts";
import { type Server, type ServerKind, startServer } from "./start-server.ts";

/** Settings of redis.conf by name; several values are parted by spaces. */
export type RedisSettings = Readonly<Record<string, string>>;

export interface RedisOptions {
  /** Keep every acknowledged write through `kill` (`appendfsync always`). Default false: nothing is written to disk. */
  readonly persistent?: boolean;
  /** Further settings, such as `{ maxmemory: "10mb" }`. */
  readonly settings?: RedisSettings;
}

/** Starts one Redis: no snapshots, no eviction. */
export function startRedis({ persistent = false, settings = {} }: RedisOptions = {}): Promise<Server> {
  const appendOnly = persistent ? { appendonly: "yes", appendfsync: "always" } : {};
  return startServer(redisKind("redis", () => ({ ...appendOnly, ...settings })));
}

/** A kind of Redis; `name` tells nodes of groups apart. */
export function redisKind(name: string, settingsAt: (port: number) => RedisSettings): ServerKind {
  return {
    name,
    program: "redis-server",
    user: null,
    args: (port) => redisArgs({ ...DEFAULTS, port: `${port}`, ...settingsAt(port) }),
    isReady: async ({ port, pid }) =>
      (await askRedis(port, "info", "server"))?.includes(`process_id:${pid}\r\n`) ?? false,
    url: (port) => `redis://127.0.0.1:${port}`,
  };
}

const DEFAULTS: RedisSettings = {
  bind: "127.0.0.1",
  save: "",
  appendonly: "no",
  "maxmemory-policy": "noeviction",
  // Replicas that are new, behind or gone keep no test waiting.
  "repl-diskless-sync-delay": "0",
  "shutdown-timeout": "0",
};

/** Settings as arguments of redis-server. */
export function redisArgs(settings: RedisSettings): string[] {
  return Object.entries(settings).flatMap(([name, value]) => [`--${name}`, ...value.split(" ")]);
}

/** Sends one command; answers the reply's text, or null when there is none. */
export function askRedis(port: number, ...command: readonly string[]): Promise<string | null> {
  return ask("redis-cli", ["-h", "127.0.0.1", "-p", `${port}`, ...command]);
}
