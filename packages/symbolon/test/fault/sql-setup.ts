/** What the tests of the SQL stores on servers share. */
import { randomBytes } from "node:crypto";
import { setTimeout as sleep } from "node:timers/promises";
import { connect, createServer, type Socket } from "node:net";
import { createConnection } from "mysql2/promise";
import { Client } from "pg";
import type { OwnerKey, StoreCall, StoredRecord } from "symbolon";
import type { MysqlStore } from "symbolon/stores/mysql";
import type { PostgresStore } from "symbolon/stores/postgres";
import { type Server, startMariadb, startPostgres } from "symbolon-servers";
import { onTestFinished } from "vitest";
import { storageFor, type Target, type Variant, type Where } from "../support/targets.ts";
import * as mysql from "../targets/mysql.mjs";
import * as postgres from "../targets/postgres.mjs";

/** A store of either kind. */
export type ServedStore = PostgresStore | MysqlStore;

/** One of the SQL stores over one client. */
export interface Kind {
  readonly name: string;
  readonly kind: "postgres" | "mysql";
  readonly server: "postgres" | "mariadb";
  readonly target: Target<ServedStore>;
  readonly variant: Variant;
}

const onPostgres = (variant: postgres.PostgresVariant): Kind => ({
  name: variant.name,
  kind: "postgres",
  server: "postgres",
  target: postgres,
  variant,
});

/** Every client once, without what it has to be asked for. */
export const kinds: readonly Kind[] = [
  ...postgres.variants.filter(({ invalidations }) => !invalidations).map(onPostgres),
  ...mysql.variants.map((variant): Kind => ({
    name: variant.name,
    kind: "mysql",
    server: "mariadb",
    target: mysql,
    variant,
  })),
];

/** Runs SQL beside any store; for PostgreSQL it may be several statements. */
export async function runSql(kind: Kind["kind"], url: string, text: string): Promise<Record<string, unknown>[]> {
  const rival = kind === "mysql" ? await mysqlRival(url) : await postgresRival(url);
  try {
    return await rival.run(text);
  } finally {
    await rival.end();
  }
}

/** A server of one test, whose commits are on the disk when they are acknowledged. */
export async function serverFor({ kind }: Kind): Promise<Server> {
  const server = await (kind === "postgres" ? startPostgres({ durable: true }) : startMariadb({ durable: true }));
  onTestFinished(() => server.stop());
  return server;
}

/** An empty storage; its handles have pools of so many connections. */
export async function storageWith(
  { target, variant }: Kind,
  url: string,
  max = 10,
): Promise<{ readonly where: Where; open(): Promise<ServedStore> }> {
  const sized = { ...target, open: (where: Where) => target.open({ ...where, max }) };
  return storageFor(sized, variant, url);
}

export const NOW: number = Date.now();
export const HOUR = 3_600_000;

/** A call that nobody waits for longer than this. */
export function callWithin(ms = 20_000): StoreCall {
  return { now: NOW, signal: AbortSignal.timeout(ms) };
}

/** A user nobody else has. */
export function newOwner(): OwnerKey {
  return { space: "space", route: 7, owner: randomBytes(16).toString("base64url") };
}

/** A record nobody else has. */
export function newRecord<F extends Partial<StoredRecord>>(fields: F): StoredRecord & F {
  return {
    space: "space",
    route: 7,
    lookup: randomBytes(32).toString("base64url"),
    owner: null,
    tenant: null,
    createdAt: NOW,
    touchedAt: NOW,
    deadline: NOW + HOUR,
    version: 1,
    envelope: randomBytes(300),
    data: null,
    ...fields,
  };
}

/** The first answer of work that is tried until it does not fail, or is what was wanted. */
export async function eventually<T>(
  work: () => T | Promise<T>,
  isWanted: (answer: T) => boolean = () => true,
): Promise<T> {
  const until = performance.now() + 20_000;
  for (;;) {
    try {
      const answer = await work();
      if (isWanted(answer)) return answer;
      if (performance.now() > until) throw new Error(`It never came to that: ${JSON.stringify(answer)}`);
    } catch (error) {
      if (performance.now() > until) throw error;
    }
    await sleep(20);
  }
}

/** What the work fails with; null when it does not. */
export async function failureOf(work: () => unknown): Promise<unknown> {
  try {
    await work();
    return null;
  } catch (error) {
    return error;
  }
}

/** A connection beside the store that holds something until it is told to let go. */
export interface Rival {
  run(text: string): Promise<Record<string, unknown>[]>;
  end(): Promise<void>;
}

/** Opens one; it ends with the test. */
export async function rivalOn(kind: Kind["kind"], url: string): Promise<Rival> {
  const rival = kind === "mysql" ? await mysqlRival(url) : await postgresRival(url);
  onTestFinished(() => rival.end().catch(() => undefined));
  return rival;
}

async function mysqlRival(url: string): Promise<Rival> {
  const connection = await createConnection(url);
  const run: Rival["run"] = async (text) => (await connection.query(text))[0] as Record<string, unknown>[];
  return { run, end: () => connection.end() };
}

async function postgresRival(url: string): Promise<Rival> {
  const client = new Client({ connectionString: url });
  await client.connect();
  const run: Rival["run"] = async (text) => (await client.query<Record<string, unknown>>(text)).rows;
  return { run, end: () => client.end() };
}

/** The quoted name of the table of a storage. */
export function tableOf({ options }: Where, suffix = ""): string {
  const { schema, table = "symbolon_sessions" } = options as { readonly schema?: string; readonly table?: string };
  return schema === undefined ? `\`${table}${suffix}\`` : `"${schema}"."${table}${suffix}"`;
}

/** A way to a server on which connections can fall silent. */
export interface Way {
  readonly url: string;
  /** Nothing goes through the connections there are any more, and none of them ends; new ones are as good as ever. */
  silence(): void;
}

/** A way to a server, for one test. */
export async function wayTo(url: string): Promise<Way> {
  const { hostname, port } = new URL(url);
  let open: Socket[] = [];
  const all: Socket[] = [];
  const server = createServer((near) => {
    const far = connect(Number(port), hostname);
    open.push(near, far);
    all.push(near, far);
    near.pipe(far).pipe(near);
    for (const socket of [near, far]) socket.on("error", () => undefined);
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  onTestFinished(() => {
    for (const socket of all) socket.destroy();
    server.close();
  });
  const address = server.address();
  if (address === null || typeof address === "string") throw new Error("no port");
  const here = new URL(url);
  here.port = `${address.port}`;
  return {
    url: here.href,
    silence() {
      for (const socket of open) socket.unpipe().pause();
      open = [];
    },
  };
}
