/** The process of one candidate: its own heap, its own optimised code, its own CPU time. `orders.ts` says what it does. */
import { once } from "node:events";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { setImmediate as turn } from "node:timers/promises";
import { type Framework, nameOf, type Path, slowWrites } from "./candidates/candidate.ts";
import { candidatesOn } from "./candidates/index.ts";
import { browse, expectOk, type Jar, logIn, request } from "./in-process.ts";
import { cpuCost } from "./measure.ts";
import type { Order, OrderAnswer, Orders } from "./orders.ts";
import { profile } from "./profile.ts";

const [, , framework, name, redisUrl = ""] = process.argv;
const candidate = (await candidatesOn(framework as Framework)).find((one) => nameOf(one) === name);
if (candidate === undefined) throw new Error(`There is no candidate called ${name}.`);
const listener = await candidate.start(redisUrl);
/** Requests under way at the same time, of different sessions. */
const AT_ONCE = 16;

/** Of those who are logged in already; requests take turns. */
const jars: Jar[] = [];
let server: Server | null = null;

async function logInUntil(count: number): Promise<readonly Jar[]> {
  while (jars.length < count) jars.push(await logIn(listener));
  return jars.slice(0, count);
}

/** One request of those who are logged in, in turn. */
async function requestsTo(path: Path, sessions: number): Promise<(index: number) => Promise<void>> {
  const cookies = (await logInUntil(sessions)).map(({ cookie }) => cookie);
  return (index) => expectOk(listener, path, cookies[index % cookies.length] ?? "");
}

/** So many requests at a time, as a server that is in use has under way: alone, each would pay a trip to Redis of its own. */
function atOnce(run: (index: number) => Promise<void>): (index: number) => Promise<unknown> {
  const each = Array.from({ length: AT_ONCE }, (_, index) => index);
  return (index) => Promise.all(each.map((offset) => run(index * AT_ONCE + offset)));
}

/** What is left once nothing is under way: an object that is seen by two collections is old from then on. */
async function heldBytes(): Promise<number> {
  for (let time = 0; time < 3; time++) {
    await turn();
    globalThis.gc?.({ type: "minor" });
  }
  return process.memoryUsage().heapUsed;
}

const orders: Orders = {
  async warmUp(path, sessions, requests, milliseconds) {
    const run = atOnce(await requestsTo(path, sessions));
    const { user } = process.cpuUsage();
    for (let index = 0; index < requests / AT_ONCE; index++) {
      await run(index);
      if (process.cpuUsage().user - user > milliseconds * 1000) break;
    }
  },

  async sample(path, effort) {
    const run = atOnce(await requestsTo(path, effort.operations));
    return (await cpuCost({ run }, { ...effort, operations: effort.operations / AT_ONCE })) / AT_ONCE;
  },

  async retained(path, requests) {
    const run = atOnce(await requestsTo(path, 64));
    const before = await heldBytes();
    for (let index = 0; index < requests / AT_ONCE; index++) await run(index);
    return ((await heldBytes()) - before) / requests;
  },

  async repeat(path, times) {
    const jar = await logIn(listener);
    let longest = 0;
    for (let index = 0; index < times; index++) {
      const { head } = await request(listener, path, jar.cookie);
      const lines = head.split("\r\n").filter((line) => /^set-cookie:/i.test(line));
      longest = Math.max(longest, lines.join("\r\n").length);
    }
    return longest;
  },

  async race(path, times) {
    const jar = await logIn(listener);
    const { cookie } = jar;
    await Promise.all(
      Array.from({ length: times }, async () => {
        const answer = await request(listener, path, cookie);
        if (answer.status !== 200) throw new Error(`${path} was answered ${answer.status}: ${answer.body}`);
        jar.keep(answer);
      }),
    );
    return countOf((await browse(listener, "/count", jar)).body);
  },

  async logOutDuringWrite() {
    const jar = await logIn(listener);
    const { cookie: copy } = jar;
    const parked = slowWrites().length;
    let isAnswered = false;
    const slow = request(listener, "/slow-write", copy).finally(() => {
      isAnswered = true;
    });
    while (slowWrites().length === parked) {
      if (isAnswered) throw new Error(`The slow write was answered early: ${(await slow).body}`);
      await turn();
    }
    await browse(listener, "/logout", jar);
    slowWrites().at(-1)?.();
    jar.keep(await slow);
    const isOpen = async (cookie: string): Promise<boolean> => {
      const { status, body } = await request(listener, "/read", cookie);
      return status === 200 && body.includes("ok");
    };
    return { browser: await isOpen(jar.cookie), copy: await isOpen(copy) };
  },

  async listen(sessions) {
    const opened = await logInUntil(sessions);
    server = createServer(listener).listen(0, "127.0.0.1");
    await once(server, "listening");
    return { port: (server.address() as AddressInfo).port, cookies: opened.map(({ cookie }) => cookie) };
  },

  async stopListening() {
    server?.close();
    server?.closeAllConnections();
  },

  async cpu() {
    const { user, system } = process.cpuUsage();
    return user + system;
  },

  async profile(path, milliseconds) {
    const effort = { rounds: 1, operations: 64, sampleMs: milliseconds };
    const run = await requestsTo(path, effort.operations);
    return profile(() => cpuCost({ run }, effort));
  },
};

/** Frameworks frame short bodies differently: chunks have their length before them. */
function countOf(body: string): number {
  return Number(body.split("\r\n").at(body.startsWith("0") || !body.includes("\r\n") ? 0 : 1));
}

process.on("message", (order: Order) => {
  const carryOut = orders[order.name] as (...args: readonly unknown[]) => Promise<unknown>;
  carryOut(...order.args).then(
    (value) => tell({ id: order.id, value }),
    (error: unknown) => tell({ id: order.id, error: error instanceof Error ? String(error.stack) : String(error) }),
  );
});
process.once("disconnect", () => process.exit());
tell({ id: 0 });

function tell(answer: OrderAnswer): void {
  process.send?.(answer);
}
