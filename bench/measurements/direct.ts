/** What a session costs a request against express-session called directly, on request objects that cost next to nothing. */
import expressSession from "express-session";
import { createSessionManager, generateKey, openSession, type Session, type SessionManager } from "symbolon";
import { withSession } from "symbolon/frameworks/node";
import { memoryStore } from "symbolon/stores/memory";
import type { Measurement } from "../bench.ts";
import { type Data, makeData, NAME } from "../data.ts";
import { cookieOf, type FakeRequest, type FakeResponse, serve } from "../fake-http.ts";
import { floors } from "../floors.ts";
import { type Case, cpuCase, type Effort, measure, medianOf, medianRatio, type Samples } from "../measure.ts";
import { budget, type Cell } from "../report.ts";

export const direct: Measurement = {
  name: "direct",
  what: "a session called directly, cold, warm and unchanged, against express-session called directly",

  async run(bench) {
    const effort = bench.pick<Effort>({
      // Each session is met once a pass. Fewer than the tokens that a manager remembers, or nothing would be warm.
      full: { rounds: 15, operations: 300, sampleMs: 30 },
      quick: { rounds: 5, operations: 100, sampleMs: 20 },
      tiny: { rounds: 1, warmUps: 0, operations: 20, sampleMs: 1 },
    });
    const { operations } = effort;
    const own = await Promise.all(WAYS.flatMap((way) => ROWS.map((row) => ownCase(row, way, operations))));
    /** What the request and response cost without a session; both sides pay it. */
    const bare = cpuCase("floor: request and response alone", {
      run: () => serve("", (_request, response) => response.end("ok")),
    });
    const peers = await peerCases(operations);
    const samples = await measure([...peers, ...own, bare, ...floors(JSON.stringify(makeData()), operations)], effort);
    return {
      about:
        `CPU time by that of express-session, called directly with its MemoryStore; ${operations} sessions of 300 bytes, medians of ` +
        `${effort.rounds} interleaved rounds. "direct" is openSession(sessions, headers), the data, commit() when needed: ` +
        'all but the response. "request" is withSession of symbolon/frameworks/node on the request and response that ' +
        "express-session gets. The budgets are for the session called directly, as the peer is.",
      tables: [
        {
          title: "Symbolon by express-session",
          columns: ["path", "budget", "direct us", "direct ratio", "request us", "request ratio"],
          rows: ROWS.map((row) => [
            row.path,
            row.budget,
            ...WAYS.flatMap((way) => figures(samples, nameOf(row, way), row.peer)),
          ]),
        },
        {
          title: "Floors, each alone, by a read of express-session",
          columns: ["what", "us", "ratio"],
          rows: [...samples.keys()]
            .filter((name) => /^(?:floor|express-session): /.test(name))
            .map((name) => [name, ...figures(samples, name, PEER_READ)]),
        },
      ],
      budgets: ROWS.map((row) => budget(row.path, row.budget, medianRatio(samples, nameOf(row, "direct"), row.peer))),
    };
  },
};

const WAYS = ["direct", "request"] as const;

function figures(samples: Samples, name: string, base: string): Cell[] {
  return [medianOf(samples, name), medianRatio(samples, name, base)];
}

const PEER_READ = "express-session: read";
const PEER_WRITE = "express-session: write";

/** How a session is reached: `openSession` called directly, or our `node:http` binding on the peer's request objects. */
type Way = (typeof WAYS)[number];
type Action = "open" | "read" | "write";

interface Row {
  readonly path: string;
  readonly peer: string;
  readonly budget: number;
  readonly action: Action;
  readonly before: "new manager" | "changed by another manager" | "nothing";
}

const ROWS: readonly Row[] = [
  { path: "cold read, data untouched", peer: PEER_READ, budget: 0.65, action: "open", before: "new manager" },
  { path: "cold read with data", peer: PEER_READ, budget: 1, action: "read", before: "new manager" },
  {
    path: "warm read, data untouched",
    peer: PEER_READ,
    budget: 0.45,
    action: "open",
    before: "changed by another manager",
  },
  { path: "warm read with data", peer: PEER_READ, budget: 0.65, action: "read", before: "changed by another manager" },
  { path: "same envelope, data untouched", peer: PEER_READ, budget: 0.1, action: "open", before: "nothing" },
  { path: "same envelope with data", peer: PEER_READ, budget: 0.3, action: "read", before: "nothing" },
  { path: "warm write", peer: PEER_WRITE, budget: 1.5, action: "write", before: "nothing" },
  { path: "cold write", peer: PEER_WRITE, budget: 2.2, action: "write", before: "new manager" },
];

/** express-session on our request objects: read touches the session's expiry, as it does by default. */
async function peerCases(sessions: number): Promise<Case[]> {
  const middleware = expressSession({
    secret: generateKey(),
    resave: false,
    saveUninitialized: false,
    store: new expressSession.MemoryStore(),
  });
  const request = (cookie: string, handle: (session: Record<string, unknown>) => void): Promise<FakeResponse> =>
    serve(cookie, (incoming, response) => {
      middleware(incoming, response, () => {
        handle(incoming.session);
        response.end("ok");
      });
    });
  const cookies: string[] = [];
  for (let index = 0; index < sessions; index++) {
    cookies.push(cookieOf(await request("", (session) => Object.assign(session, makeData()))));
  }
  return [
    cpuCase(PEER_READ, {
      run: (index) => request(cookies[index] ?? "", (session) => expectData(session["name"])),
    }),
    cpuCase(PEER_WRITE, {
      run: (index) =>
        request(cookies[index] ?? "", (session) => {
          session["count"] = (session["count"] as number) + 1;
        }),
    }),
  ];
}

/**
 * One of our paths, on a store of its own.
 *
 * Cold is a manager made for the pass: it never met any of the tokens, so neither derived keys nor opened envelopes
 * are cached. Warm means that another manager on the same store has written every record since the last pass: the
 * token is known, the envelope is not. Otherwise the manager finds the bytes it saw last.
 */
async function ownCase(row: Row, way: Way, count: number): Promise<Case> {
  const store = memoryStore();
  const keys = [generateKey()];
  const make = (): SessionManager<Data> => createSessionManager<Data>({ store, keys, pruneEvery: false });
  const writer = make();
  let sessions = make();
  let serveOne = binding(sessions, row.action);
  const tokens: string[] = [];
  for (let index = 0; index < count; index++) {
    tokens.push((await writer.create({ userId: `user-${index}`, data: makeData() })).token);
  }
  const cookies = tokens.map((token) => `__Host-sid=${token}`);
  const prepare = async (): Promise<void> => {
    if (row.before === "new manager") {
      sessions = make();
      serveOne = binding(sessions, row.action);
    }
    if (row.before === "changed by another manager")
      for (const cookie of cookies) await useSession(writer, "write", cookie);
  };
  return cpuCase(nameOf(row, way), {
    prepare,
    run:
      way === "direct"
        ? (index) => useSession(sessions, row.action, cookies[index] ?? "")
        : (index) => serve(cookies[index] ?? "", serveOne),
  });
}

/** What every binding is built on, from the request's headers to the cookies of the response. */
async function useSession(sessions: SessionManager<Data>, action: Action, cookie: string): Promise<void> {
  const headers = { cookie };
  const opened = await openSession(sessions, { get: (name) => headers[name as "cookie"] });
  act(opened.session, action);
  const cookies = opened.needsCommit() ? await opened.commit() : opened.cookies();
  if (cookies.length > 0) throw new Error("A cookie was set although nothing asks for one.");
}

function act(session: Session<Data>, action: Action): void {
  if (session.userId === null) throw new Error("The session did not open.");
  if (action === "read") expectData(session.data.name);
  if (action === "write") session.data.count++;
}

function binding(
  sessions: SessionManager<Data>,
  action: Action,
): (request: FakeRequest, response: FakeResponse) => void {
  const listener = withSession<Data, FakeRequest, FakeResponse>(
    sessions,
    (_request, response, session) => {
      act(session, action);
      response.end("ok");
    },
    { onError: fail },
  );
  return (request, response) => void listener(request, response);
}

/** A wrong answer must end the benchmark, also where the binding would turn it into a response. */
function fail(error: unknown): never {
  console.error(error);
  process.exit(1);
}

function expectData(name: unknown): void {
  if (name !== NAME) throw new Error("The data is not the session's.");
}

function nameOf({ path }: Row, way: Way): string {
  return `${way}: ${path}`;
}
