import { join } from "node:path";
import { ask } from "./programs.ts";
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
    prepare: (place) => runWatched({ program: "mariadb-install-db", args: installArgs(place.folder) }, place),
    args: (port, folder) => [
      "--no-defaults",
      dataFolder(folder),
      socketOf(folder),
      "--bind-address=127.0.0.1",
      `--port=${port}`,
      "--skip-log-bin",
      "--skip-name-resolve",
      "--character-set-server=utf8mb4",
      "--innodb-buffer-pool-size=64M",
      `--innodb-flush-log-at-trx-commit=${durable ? 1 : 0}`,
    ],
    isReady: async ({ folder }) => (await ask("mariadb", createArgs(folder))) !== null,
    url: (port) => `mysql://root@127.0.0.1:${port}/symbolon`,
  });
}

function installArgs(folder: string): string[] {
  return ["--no-defaults", dataFolder(folder), "--auth-root-authentication-method=normal", "--skip-test-db"];
}

/** By the socket in the folder, which no other server has. */
function createArgs(folder: string): string[] {
  return ["--no-defaults", socketOf(folder), "--user=root", "--execute=CREATE DATABASE IF NOT EXISTS symbolon"];
}

function dataFolder(folder: string): string {
  return `--datadir=${join(folder, "data")}`;
}

function socketOf(folder: string): string {
  return `--socket=${join(folder, "socket")}`;
}
