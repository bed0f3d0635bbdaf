import { join } from "node:path";
import { ask } from "./programs.ts";
import { type Server, startServer } from "./start-server.ts";
import { runWatched } from "./watched-process.ts";

export interface PostgresOptions {
  /** Wait for the disk at every commit, as a production server does. Default false: fast; `kill` loses nothing even so. */
  readonly durable?: boolean;
}

/** Starts one PostgreSQL: user and database `postgres`, no password, UTF-8, sorted as English. */
export function startPostgres({ durable = false }: PostgresOptions = {}): Promise<Server> {
  const speed = durable ? {} : { fsync: "off", full_page_writes: "off" };
  return startServer({
    name: "postgres",
    program: "postgres",
    user: "postgres",
    // The fast shutdown: SIGTERM would wait until every client has gone.
    shutDownSignal: "SIGINT",
    prepare: (place) => runWatched({ program: "initdb", args: initArgs(place.folder) }, place),
    args: (port, folder) => serverArgs(folder, { port: `${port}`, ...speed }),
    isReady: async ({ port, folder }) => (await ask("psql", queryArgs(port, folder))) === "1\n",
    url: (port) => `postgres://postgres@127.0.0.1:${port}/postgres`,
  });
}

function initArgs(folder: string): string[] {
  // Most databases sort by a language: a store that relies on the order of bytes has to say so.
  const collation = ["--locale=C", "--locale-provider=icu", "--icu-locale=en"];
  return [...dataFolder(folder), "-U", "postgres", "-A", "trust", "-E", "UTF8", "--no-sync", ...collation];
}

function serverArgs(folder: string, more: Readonly<Record<string, string>>): string[] {
  const settings = {
    listen_addresses: "127.0.0.1",
    unix_socket_directories: folder,
    // Shared memory in the folder goes with the folder, after a kill too.
    dynamic_shared_memory_type: "mmap",
    ...more,
  };
  return [...dataFolder(folder), ...Object.entries(settings).flatMap(([name, value]) => ["-c", `${name}=${value}`])];
}

/** By the socket in the folder, which no other server has. */
function queryArgs(port: number, folder: string): string[] {
  return ["-X", "-h", folder, "-p", `${port}`, "-U", "postgres", "-Atc", "SELECT 1"];
}

function dataFolder(folder: string): string[] {
  return ["-D", join(folder, "data")];
}
