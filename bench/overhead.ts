/**
 * What a session costs a request, against express-session called directly and against the budgets of DESIGN 9.
 *
 *   npm run bench:overhead -- [--rounds 15] [--sessions 300] [--sample 30] [--json]
 *
 * Reports, and ends with 0 also when a budget is missed. docs/performance.md says how to read it.
 */
import { cpus } from "node:os";
import { parseArgs } from "node:util";
import expressSession from "express-session";
import { createSessionManager, generateKey, openSession, type Session, type SessionManager } from "symbolon";
import { withSession } from "symbolon/frameworks/node";
import { memoryStore } from "symbolon/stores/memory";
import { cookieOf, type FakeRequest, type FakeResponse, serve } from "./fake-http.ts";
import { floors } from "./floors.ts";
import { type Case, type Effort, measure, median, medianRatio, type Samples } from "./measure.ts";

interface Data {
  count: number;
  name: string;
  theme: string;
  cart: { sku: string; quantity: number }[];
  note: string;
}

/** 300 bytes of JSON. */
function makeData(): Data {
  const data = {
    count: 0,
    name: "Ada Lovelace",
    theme: "dark",
    cart: Array.from({ length: 4 }, (_, index) => ({ sku: `sku-${1000 + index}`, quantity: index })),
    note: "",
  };
  return { ...data, note: "n".repeat(300 - JSON.stringify(data).length) };
}

const { values: asked } = parseArgs({
  options: {
    rounds: { type: "string", default: "15" },
    sessions: { type: "string", default: "300" },
    sample: { type: "string", default: "30" },
    json: { type: "boolean", default: false },
  },
});
const effort: Effort = {
  rounds: wholeNumber(asked.rounds, "--rounds"),
  // Each session is met once a pass. Fewer than the tokens that a manager remembers, or nothing would be warm.
  operations: wholeNumber(asked.sessions, "--sessions"),
  sampleMs: wholeNumber(asked.sample, "--sample"),
};

const PEER_READ = "express-session: read";
const PEER_WRITE = "express-session: write";

/** How a session is reached: `openSession` called directly, or our `node:http` binding on the peer's request objects. */
type Way = "direct" | "request";
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
async function peerCases(): Promise<Case[]> {
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
  for (let index = 0; index < effort.operations; index++) {
    cookies.push(cookieOf(await request("", (session) => Object.assign(session, makeData()))));
  }
  return [
    { name: PEER_READ, run: (index) => request(cookies[index] ?? "", (session) => expectData(session["name"])) },
    {
      name: PEER_WRITE,
      run: (index) =>
        request(cookies[index] ?? "", (session) => {
          session["count"] = (session["count"] as number) + 1;
        }),
    },
  ];
}

/**
 * One of our paths, on a store of its own.
 *
 * Cold is a manager made for the pass: it never met any of the tokens, so neither derived keys nor opened envelopes
 * are cached. Warm means that another manager on the same store has written every record since the last pass: the
 * token is known, the envelope is not. Otherwise the manager finds the bytes it saw last.
 */
async function ownCase(row: Row, way: Way): Promise<Case> {
  const store = memoryStore();
  const keys = [generateKey()];
  const make = (): SessionManager<Data> => createSessionManager<Data>({ store, keys, pruneEvery: false });
  const writer = make();
  let sessions = make();
  let serveOne = binding(sessions, row.action);
  const tokens: string[] = [];
  for (let index = 0; index < effort.operations; index++) {
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
  return {
    name: nameOf(row, way),
    prepare,
    run:
      way === "direct"
        ? (index) => useSession(sessions, row.action, cookies[index] ?? "")
        : (index) => serve(cookies[index] ?? "", serveOne),
  };
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
  if (name !== "Ada Lovelace") throw new Error("The data is not the session's.");
}

function nameOf({ path }: Row, way: Way): string {
  return `${way}: ${path}`;
}

function wholeNumber(text: string, name: string): number {
  const value = Number(text);
  return Number.isSafeInteger(value) && value > 0 && value <= 4000
    ? value
    : fail(`${name}: write a whole number from 1 to 4000.`);
}

function report(samples: Samples) {
  const cost = (name: string): number => round(median(samples.get(name) ?? []), 1);
  const judge = (row: Row, way: Way) => {
    const ratio = round(medianRatio(samples, nameOf(row, way), row.peer), 2);
    return { microseconds: cost(nameOf(row, way)), ratio, missedBy: round(Math.max(0, ratio - row.budget), 2) };
  };
  return {
    node: process.version,
    cpu: cpus()[0]?.model ?? "unknown",
    ...effort,
    collectedBetweenCases: globalThis.gc !== undefined,
    peer: { read: cost(PEER_READ), write: cost(PEER_WRITE) },
    paths: ROWS.map((row) => ({
      path: row.path,
      budget: row.budget,
      direct: judge(row, "direct"),
      request: judge(row, "request"),
    })),
    floors: [...samples.keys()]
      .filter((name) => name.startsWith("floor: "))
      .map((name) => ({
        name: name.slice("floor: ".length),
        microseconds: cost(name),
        ratio: round(medianRatio(samples, name, PEER_READ), 2),
      })),
  };
}

function round(value: number, digits: number): number {
  return Number(value.toFixed(digits));
}

function print({ peer, paths, floors: found, ...run }: ReturnType<typeof report>): void {
  console.log(`Session overhead: CPU time as a ratio to express-session 1.19.0, called directly with its MemoryStore.`);
  console.log(
    `${run.node}, ${run.cpu}; medians of ${run.rounds} interleaved rounds over ${run.operations} sessions with`,
  );
  console.log(
    `300 bytes of data each, ${run.collectedBetweenCases ? "young garbage collected between cases" : "no --expose-gc"}.`,
  );
  console.log(`express-session here: read ${peer.read} us, write ${peer.write} us a request.\n`);
  printPart("direct", "openSession(sessions, headers), the data, commit() when needed: all but the response", paths);
  printPart(
    "request",
    "withSession of symbolon/frameworks/node on the request and response express-session gets",
    paths,
  );
  console.log("Floors, each alone, as a ratio to express-session's read");
  for (const { name, microseconds, ratio } of found) {
    console.log(`  ${name.padEnd(32)} ${aligned(microseconds, 1, 6)} us  ${aligned(ratio, 2, 5)}`);
  }
}

function printPart(way: Way, how: string, paths: ReturnType<typeof report>["paths"]): void {
  console.log(`${way === "direct" ? "Called directly" : "A whole request"}: ${how}`);
  for (const { path, budget, [way]: result } of paths) {
    const verdict = result.missedBy === 0 ? "met" : `missed by ${result.missedBy.toFixed(2)}`;
    const numbers = `${aligned(result.microseconds, 1, 6)} us  ${aligned(result.ratio, 2, 5)}  of ${budget.toFixed(2)}`;
    console.log(`  ${path.padEnd(32)} ${numbers}  budget: ${verdict}`);
  }
  console.log();
}

function aligned(value: number, digits: number, width: number): string {
  return value.toFixed(digits).padStart(width);
}

const ways: readonly Way[] = ["direct", "request"];
const own = await Promise.all(ways.flatMap((way) => ROWS.map((row) => ownCase(row, way))));
/** What the request and response cost without a session; both sides pay it. */
const bare: Case = {
  name: "floor: request and response alone",
  run: () => serve("", (_request, response) => response.end("ok")),
};
const cases = [...(await peerCases()), ...own, bare, ...floors(JSON.stringify(makeData()), effort.operations)];
const results = report(await measure(cases, effort));
if (asked.json) console.log(JSON.stringify(results, null, 2));
else print(results);
