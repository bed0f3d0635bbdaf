/** One process of a load; `orders.ts` says what it is told on standard input, and what it answers. */
import { createWriteStream } from "node:fs";
import { once } from "node:events";
import { createInterface } from "node:readline";
import { finished } from "node:stream/promises";
import { Journal } from "./journal.ts";
import { Load } from "./load.ts";
import type { CloseAnswer, Order, Start } from "./orders.ts";
import { loadTarget } from "./target.ts";

const lines = createInterface({ input: process.stdin })[Symbol.asyncIterator]();
const first: unknown = (await lines.next()).value;
const start = JSON.parse(String(first)) as Start;
const handle = await (await loadTarget(start.kind)).open(start.where);
const journal = new Journal();
const load = new Load(journal.of(handle.store), start.key, start.counters);
let hasToStop = false;
answer(null);

for await (const line of lines) obey(JSON.parse(line) as Order);

/** Orders are not waited for, so that a run can be stopped. */
function obey(order: Order): void {
  if (order.order === "stop") hasToStop = true;
  else carryOut(order).then(answer, fail);
}

async function carryOut(order: Exclude<Order, { order: "stop" }>): Promise<unknown> {
  if (order.order === "preload") {
    // What is going to be pruned is nobody's to account for.
    const isGarbage = order.preload.lifetime !== undefined;
    await (isGarbage ? new Load(handle.store, start.key, []) : load).preload(order.preload);
    return null;
  }
  if (order.order === "run") {
    hasToStop = false;
    return load.run(() => hasToStop, order.pace);
  }
  const faults = await load.lookBack();
  await writeJournal();
  await handle.close();
  return { faults, counted: load.counted() } satisfies CloseAnswer;
}

async function writeJournal(): Promise<void> {
  const file = createWriteStream(start.journal);
  for (const entry of journal.entries()) {
    if (!file.write(`${JSON.stringify(entry)}\n`)) await once(file, "drain");
  }
  file.end();
  await finished(file);
}

function answer(value: unknown): void {
  process.stdout.write(`${JSON.stringify(value)}\n`);
}

function fail(error: unknown): void {
  console.error(error);
  process.exitCode = 1;
  process.stdin.destroy();
}
