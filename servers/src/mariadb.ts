import { join } from "node:path";
import { ask, requireProgram } from "./programs.ts";
import { type Server, startServer } from "./start-server.ts";
import { runWatched } from "./watched-process.ts";

export interface MariadbOptions {
  /** Wait for the disk at every commit, as a production server does. Default false: `kill` may lose the last second. */
  readonly durable?: boolean;
}

/** Starts one MariaDB: user `root`, no password, an empty database `symbolon`, utf8mb4. */
export function startMariadb({ durable = false }: MariadbOptions = {}): Promise<Server> {
  return startServer({
    name: "mariadb",
    program: "mariadbd",
    user: "mysql",
    prepare: (place) =>
      runWatched({ program: requireProgram("mariadb-install-db"), args: initArgs(place.folder) }, place),
    args: (port, folder) => [
      ...["--no-defaults", `--datadir=${join(folder, "data")}`, `--socket=${socketOf(folder)}`],
      ...["--bind-address=127.0.0.1", `--port=${port}`, `--pid-file=${join(folder, "pid")}`],
      ...["--skip-log-bin", "--skip-name-resolve", "--character-set-server=utf8mb4", "--innodb-buffer-pool-size=64M"],
      `--innodb-flush-log-at-trx-commit=${durable ? 1 : 0}`,
    ],
    // By the socket in its folder, which no other server has.
    isReady: async ({ folder }) => (await ask("mariadb", createDatabase(folder))) !== null,
    url: (port) => `mysql://root@127.0.0.1:${port}/symbolon`,
  });
}

function initArgs(folder: string): string[] {
  const dataFolder = `--datadir=${join(folder, "data")}`;
  return ["--no-defaults", dataFolder, "--auth-root-authentication-method=normal", "--skip-test-db"];
}

function createDatabase(folder: string): string[] {
  const statement = "CREATE DATABASE IF NOT EXISTS symbolon";
  return ["--no-defaults", `--socket=${socketOf(folder)}`, "--user=root", `--execute=${statement}`];
}

function socketOf(folder: string): string {
  return join(folder, "socket");
}
