import { ask } from "./programs.ts";
import { type Server, type ServerKind, startServer } from "./start-server.ts";

export interface RedisOptions {
  /** Keep every acknowledged write through `kill` (`appendfsync always`). Default false: nothing is written to disk. */
  readonly persistent?: boolean;
  /** Further settings, such as `["--maxmemory", "10mb"]`. */
  readonly args?: readonly string[];
}

/** Starts one Redis: no snapshots, no eviction. */
export function startRedis({ persistent = false, args = [] }: RedisOptions = {}): Promise<Server> {
  return startServer(
    redisKind("redis", (port) => [
      ...redisArgs(port),
      ...(persistent ? ["--appendonly", "yes", "--appendfsync", "always"] : []),
      ...args,
    ]),
  );
}

/** A kind of server that speaks Redis' protocol; `name` tells nodes apart. */
export function redisKind(name: string, args: ServerKind["args"]): ServerKind {
  return {
    name,
    program: "redis-server",
    user: null,
    args,
    isReady: async ({ port, pid }) =>
      (await askRedis(port, "info", "server"))?.includes(`process_id:${pid}\r`) ?? false,
    url: (port) => `redis://127.0.0.1:${port}`,
  };
}

/** The settings of every Redis of the tests. */
export function redisArgs(port: number): string[] {
  return [
    ...["--bind", "127.0.0.1", "--port", `${port}`],
    ...["--save", "", "--appendonly", "no", "--maxmemory-policy", "noeviction"],
    // Replicas that are gone, or behind, keep no test waiting.
    ...["--shutdown-timeout", "0", "--repl-diskless-sync-delay", "0"],
  ];
}

/** Sends one command; answers the reply's text, or null when there is none. */
export function askRedis(port: number, ...command: readonly string[]): Promise<string | null> {
  return ask("redis-cli", ["-h", "127.0.0.1", "-p", `${port}`, ...command]);
}
