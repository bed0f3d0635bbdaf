/** What only the server under a store knows: what a call cost it, and how much room it takes. */
import { createRequire } from "node:module";
import { readdirSync, statSync } from "node:fs";
import { join } from "node:path";
import type { Store } from "symbolon";
import { type SqliteClient, sqliteStore } from "symbolon/stores/sqlite";
import { runProgram } from "./program.ts";
import type { Where } from "./target.ts";

export interface Inspector {
  /** How the server does what the work asks of it: query plans, or the commands by name. */
  explain(work: (store: Store) => Promise<unknown>): Promise<string[]>;
  /** Bytes that the server holds now. */
  bytes(): Promise<number>;
}

/** For the storage of a target, by the server it needs. */
export function inspectorOf(
  server: string | null,
  kind: string,
  where: Where,
  url: string | null,
  store: Store,
): Inspector {
  const location = url ?? "";
  if (server === "redis" || server === "cluster") return redisInspector(nodesOf(location), store);
  if (server === "postgres") return postgresInspector(location, store);
  if (server === "mariadb") return mariadbInspector(new URL(location), store);
  const path = String(where[kind === "sqlite" ? "path" : "root"]);
  return kind === "sqlite" ? sqliteInspector(path) : { explain: async () => [], bytes: async () => sizeOf(path) };
}

/** `redis+cluster://host:port,host:port/` is not one URL to the parser of URLs. */
function nodesOf(url: string): string[] {
  const hosts = /\/\/([^/]*)/.exec(url)?.[1] ?? "";
  return hosts.split(",");
}

function redisInspector(nodes: readonly string[], store: Store): Inspector {
  const ask = async (...command: readonly string[]): Promise<string[]> =>
    Promise.all(
      nodes.map(async (node) => {
        const [host = "", port = ""] = node.split(":");
        return runProgram("redis-cli", ["-h", host, "-p", port, ...command]);
      }),
    );
  /** Calls by command; those made inside of scripts, too. */
  const calls = async (): Promise<Map<string, number>> => {
    const counts = new Map<string, number>();
    for (const stats of await ask("info", "commandstats")) {
      for (const [, name = "", count] of stats.matchAll(/cmdstat_([^:]+):calls=(\d+)/g)) {
        counts.set(name, (counts.get(name) ?? 0) + Number(count));
      }
    }
    return counts;
  };
  return {
    async explain(work) {
      await work(store);
      const before = await calls();
      await work(store);
      const after = await calls();
      const changed = [...after].filter(([name, count]) => count !== before.get(name) && !OWN_COMMANDS.test(name));
      return changed.map(([name, count]) => `${name} ${count - (before.get(name) ?? 0)}`);
    },
    async bytes() {
      const infos = await ask("info");
      const masters = infos.filter((info) => /role:master/.test(info));
      return masters.reduce((total, info) => total + Number(/used_memory:(\d+)/.exec(info)?.[1] ?? 0), 0);
    },
  };
}

/** What a cluster and its clients say among themselves, and what is asked here. */
const OWN_COMMANDS = /^(?:info|ping|replconf|cluster\||publish|hello|client\|)/;

function postgresInspector(url: string, store: Store): Inspector {
  const ask = async (...statements: readonly string[]): Promise<string> =>
    runProgram("psql", ["-X", "-q", "-At", ...statements.flatMap((one) => ["-c", one]), url]);
  return {
    async explain(work) {
      await work(store);
      const idle = "backend_type = 'client backend' AND pid <> pg_backend_pid()";
      const last = await ask(`SELECT query FROM pg_stat_activity WHERE ${idle} ORDER BY state_change DESC LIMIT 1`);
      const parameters = new Set(last.match(/\$\d+/g)).size;
      const plan = await ask(
        "SET plan_cache_mode = force_generic_plan",
        `PREPARE asked AS ${last}`,
        `EXPLAIN (COSTS off) EXECUTE asked${parameters === 0 ? "" : `(${Array(parameters).fill("NULL").join(", ")})`}`,
      );
      return plan.split("\n");
    },
    bytes: async () => Number(await ask("SELECT pg_database_size(current_database())")),
  };
}

function mariadbInspector({ hostname, port, username }: URL, store: Store): Inspector {
  const ask = async (statement: string): Promise<string> =>
    runProgram("mariadb", ["--no-defaults", "-h", hostname, "-P", port, "-u", username, "-N", "-e", statement]);
  return {
    async explain(work) {
      await ask("SET GLOBAL log_output = 'TABLE'; SET GLOBAL general_log = ON");
      await work(store);
      await ask("SET GLOBAL general_log = OFF");
      const executed = "command_type = 'Execute' AND argument LIKE 'SELECT%'";
      const last = await ask(
        `SELECT argument FROM mysql.general_log WHERE ${executed} ORDER BY event_time DESC LIMIT 1`,
      );
      const [table = ""] = /`sessions_\w+`/.exec(last) ?? [];
      const [space, owner] = (await ask(`SELECT space, owner FROM symbolon.${table} LIMIT 1`)).split("\t");
      // The log has no values; these stand for what a first page or a count is asked with.
      const statement = last
        .replace("LIMIT ?", "LIMIT 51")
        .replace("(?, ?)", "(9007199254740991, '')")
        .replace("space = ?", `space = '${space}'`)
        .replace("owner = ?", `owner = '${owner}'`)
        .replaceAll("?", "0");
      const plan = await ask(`USE symbolon; EXPLAIN ${statement}`);
      return plan.split("\n").map((line) => {
        const [, , , type, , index, , , rows, extra] = line.split("\t");
        return `${type} by ${index?.replace(/^sessions_[0-9a-f]+/, "sessions")}, ${rows} rows: ${extra}`;
      });
    },
    async bytes() {
      const files = "information_schema.innodb_sys_tablespaces";
      return Number(await ask(`SELECT SUM(file_size) FROM ${files} WHERE name LIKE 'symbolon/%'`));
    },
  };
}

function sqliteInspector(path: string): Inspector {
  // The client that the package's tests use; benchmarks have none of their own.
  const Database = createRequire(import.meta.url)("libsql") as new (path: string) => SqliteClient & { close(): void };
  return {
    async explain(work) {
      const client = new Database(path);
      const statements: string[] = [];
      const prepare = (sql: string): ReturnType<SqliteClient["prepare"]> =>
        overhear(client.prepare(sql), () => statements.push(sql));
      const store = sqliteStore({ exec: (sql) => client.exec(sql), prepare });
      statements.splice(0);
      await work(store);
      const plans = statements.map((sql) => client.prepare(`EXPLAIN QUERY PLAN ${sql}`).all() as { detail: string }[]);
      client.close();
      return plans.flat().map(({ detail }) => detail);
    },
    bytes: async () => statSync(path).size,
  };
}

/** A statement that tells when it is run. */
function overhear<S extends object>(statement: S, told: () => void): S {
  return new Proxy(statement, {
    get(target, name) {
      const method: unknown = Reflect.get(target, name);
      if (typeof method !== "function") return method;
      return (...args: unknown[]): unknown => {
        told();
        return Reflect.apply(method, target, args) as unknown;
      };
    },
  });
}

function sizeOf(folder: string): number {
  const files = readdirSync(folder, { recursive: true, withFileTypes: true }).filter((entry) => entry.isFile());
  return files.reduce((total, { parentPath, name }) => total + statSync(join(parentPath, name)).size, 0);
}
