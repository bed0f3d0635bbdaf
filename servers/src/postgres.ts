import { join } from "node:path";
import { ask, requireProgram } from "./programs.ts";
import { type Server, startServer } from "./start-server.ts";
import { runWatched } from "./watched-process.ts";

export interface PostgresOptions {
  /** Wait for the disk at every commit, as a production server does. Default false: fast; `kill` loses nothing even so. */
  readonly durable?: boolean;
}

const NOT_DURABLE = ["-c", "fsync=off", "-c", "full_page_writes=off"];

/** Starts one PostgreSQL: user and database `postgres`, no password, UTF-8. */
export function startPostgres({ durable = false }: PostgresOptions = {}): Promise<Server> {
  return startServer({
    name: "postgres",
    program: "postgres",
    user: "postgres",
    // The fast shutdown: SIGTERM would wait until every client has gone.
    shutDownSignal: "SIGINT",
    prepare: (place) => runWatched({ program: requireProgram("initdb"), args: initArgs(place.folder) }, place),
    args: (port, folder) => [
      ...["-D", join(folder, "data"), "-k", folder, "-h", "127.0.0.1", "-p", `${port}`],
      // Shared memory in the folder goes with the folder, after a kill too.
      ...["-c", "dynamic_shared_memory_type=mmap"],
      ...(durable ? [] : NOT_DURABLE),
    ],
    // By the socket in its folder, which no other server has.
    isReady: async ({ port, folder }) =>
      (await ask("psql", ["-X", "-h", folder, "-p", `${port}`, "-U", "postgres", "-Atc", "SELECT 1"])) === "1\n",
    url: (port) => `postgres://postgres@127.0.0.1:${port}/postgres`,
  });
}

function initArgs(folder: string): string[] {
  return ["-D", join(folder, "data"), "-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale=C.UTF-8", "--no-sync"];
}
