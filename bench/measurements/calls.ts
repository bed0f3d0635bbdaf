/** What servers are asked for one request, and for each thing a manager does. */
import { createSessionManager, generateKey, type SessionManager } from "symbolon";
import type { Bench, Measurement } from "../bench.ts";
import { nameOf } from "../candidates/candidate.ts";
import { makeData } from "../data.ts";
import { type Budget, budget, type Cell } from "../report.ts";
import { countStatements, RedisCounter, type RedisWork } from "../server-counters.ts";
import { openStore } from "../stores.ts";

/** The same thing is done so often, and the sum divided. */
const TIMES = 20;

export const calls: Measurement = {
  name: "calls",
  what: "Redis commands and bytes, and PostgreSQL round trips, by request and by what a manager does",

  async run(bench) {
    const counter = await RedisCounter.connect(await bench.redisUrl());
    try {
      const { rows, budgets } = await countRequests(bench, counter);
      const deeds = await countDeeds(bench, counter);
      return {
        about:
          `By the account of the server (INFO), over ${TIMES} requests; commands that a script runs are counted, too. Bytes are ` +
          "those on the wire. A statement of PostgreSQL is one round trip: pg waits for each answer. Set-Cookie is the whole line.",
        tables: [
          { title: "A request", columns: ["candidate", "request", ...REDIS, "Set-Cookie bytes"], rows },
          { title: "What a manager does", columns: ["what", "PostgreSQL round trips", ...REDIS], rows: deeds },
        ],
        budgets,
      };
    } finally {
      counter.close();
    }
  },
};

const REDIS = ["Redis commands", "bytes to Redis", "bytes from Redis"];

async function countRequests(bench: Bench, counter: RedisCounter): Promise<{ rows: Cell[][]; budgets: Budget[] }> {
  const rows: Cell[][] = [];
  const budgets: Budget[] = [];
  for (const candidate of bench.candidates) {
    if (candidate.place !== "Redis") continue;
    const name = nameOf(candidate);
    const process = await bench.processOf(candidate);
    for (const path of ["/read", "/write"] as const) {
      // Logging in costs the same both times.
      let cookieBytes = 0;
      const idle = await counter.during(() => process.ask("repeat", path, 0));
      const work = await counter.during(async () => {
        cookieBytes = await process.ask("repeat", path, TIMES);
      });
      const each = perTime(work, idle);
      rows.push([name, path.slice(1), ...cellsOf(each), cookieBytes]);
      if (candidate.library === "Symbolon" && path === "/read")
        budgets.push(budget(`Redis commands of a read, ${name}`, 1, sumOf(each)));
    }
  }
  return { rows, budgets };
}

type Sessions = SessionManager<ReturnType<typeof makeData>>;

/** Each deed with what it has to find; the latter is not counted. */
interface Deed {
  readonly name: string;
  run(sessions: Sessions, token: string, id: string): Promise<unknown>;
}

const DEEDS: readonly Deed[] = [
  { name: "create", run: (sessions) => sessions.create({ userId: "grace", data: makeData() }) },
  { name: "validate", run: (sessions, token) => sessions.validate(token) },
  {
    name: "validate, change, save",
    run: async (sessions, token) => {
      const session = await sessions.validate(token);
      if (session === null) throw new Error("The session is not there.");
      session.data.count++;
      await session.save();
    },
  },
  {
    name: "validate, session.update",
    run: async (sessions, token) => {
      const session = await sessions.validate(token);
      await session?.update((data) => {
        data.count++;
      });
    },
  },
  { name: "refresh", run: (sessions, token) => sessions.refresh(token) },
  { name: "update, by handle", run: (sessions, _token, id) => sessions.update("ada", id, { roles: ["admin"] }) },
  { name: "list", run: (sessions) => sessions.list({ userId: "ada" }) },
  { name: "count", run: (sessions) => sessions.count({ userId: "ada" }) },
  { name: "revokeToken", run: (sessions, token) => sessions.revokeToken(token) },
  { name: "revokeAll of one", run: (sessions) => sessions.revokeAll("ada") },
];

async function countDeeds(bench: Bench, counter: RedisCounter): Promise<Cell[][]> {
  const [redis, postgres] = [await openStore("Redis", bench), await openStore("PostgreSQL", bench)];
  const [onRedis, onPostgres] = [redis, postgres].map(({ store }) =>
    createSessionManager<ReturnType<typeof makeData>>({ store, keys: [generateKey()], pruneEvery: false }),
  ) as [Sessions, Sessions];
  const rows: Cell[][] = [];
  for (const deed of DEEDS) {
    // The first time loads scripts and prepares statements.
    let roundTrips = 0;
    let work: RedisWork = { commands: new Map(), bytesIn: 0, bytesOut: 0 };
    for (let time = 0; time < 2; time++) {
      const [here, there] = [await begin(onPostgres), await begin(onRedis)];
      roundTrips = await countStatements(() => deed.run(onPostgres, here.token, here.id));
      work = await counter.during(() => deed.run(onRedis, there.token, there.id));
    }
    rows.push([deed.name, roundTrips, ...cellsOf(work)]);
  }
  await Promise.all([redis.close(), postgres.close()]);
  return rows;
}

/** The only session of its user. */
async function begin(sessions: Sessions): Promise<{ token: string; id: string }> {
  await sessions.revokeAll("ada");
  return sessions.create({ userId: "ada", data: makeData() });
}

function perTime(work: RedisWork, idle: RedisWork): RedisWork {
  const commands = [...work.commands].map(
    ([name, count]) => [name, (count - (idle.commands.get(name) ?? 0)) / TIMES] as const,
  );
  return {
    commands: new Map(commands.filter(([, count]) => count > 0)),
    bytesIn: (work.bytesIn - idle.bytesIn) / TIMES,
    bytesOut: (work.bytesOut - idle.bytesOut) / TIMES,
  };
}

function cellsOf({ commands, bytesIn, bytesOut }: RedisWork): Cell[] {
  const list = [...commands].map(([name, count]) => (count === 1 ? name : `${Number(count.toFixed(2))} ${name}`));
  return [list.join(" + "), Math.round(bytesIn), Math.round(bytesOut)];
}

function sumOf({ commands }: RedisWork): number {
  return [...commands.values()].reduce((sum, count) => sum + count, 0);
}
