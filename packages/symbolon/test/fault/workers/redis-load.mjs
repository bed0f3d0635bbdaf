/**
 * Creates, reads, updates and ends records until it is told to stop, and then says what was acknowledged, and when.
 * Told on standard input: where the storage is; then `go on?`, upon which it says `going on` once it has created some
 * more; then `stop`. It says `working` once it does.
 */
import { once } from "node:events";
import { randomBytes, randomInt } from "node:crypto";
import { createInterface } from "node:readline";
import { setTimeout as sleep } from "node:timers/promises";
import { open } from "../../targets/redis.mjs";

const LOOPS = 2;
const HOUR = 3_600_000;

process.stdout.write("ready\n");
const lines = createInterface({ input: process.stdin });
const [line] = await once(lines, "line");
const { where, space } = JSON.parse(line);
const { store } = await open(where);

/** Keys of records, in the order in which they were begun; `createdAt` and `endedAt` once that was acknowledged. */
const records = [];
const wrong = [];
const over = new AbortController();
let toCreate = 0;
lines.on("line", (order) => {
  if (JSON.parse(order) === "stop") over.abort();
  else toCreate = 12;
});
const work = Array.from({ length: LOOPS }, loop);
process.stdout.write("working\n");
await Promise.all(work);
// Waits until it has left: what the other end is too slow to take would be lost with the process.
await new Promise((resolve) => process.stdout.write(`${JSON.stringify({ records, wrong })}\n`, resolve));
process.exit(0);

async function loop() {
  while (!over.signal.aborted) {
    const owner = digest(16);
    const key = { space, route: randomInt(2 ** 24), lookup: digest(32), owner };
    const record = {
      ...key,
      tenant: null,
      ...times(),
      version: 1,
      envelope: Buffer.from(owner),
      data: randomBytes(200),
    };
    const log = { ...key, createdAt: null, endedAt: null };
    records.push(log);
    if (!(await acknowledged(() => store.create(record, call()), "created"))) continue;
    log.createdAt = Date.now();
    if (toCreate > 0 && --toCreate === 0) process.stdout.write("going on\n");
    await acknowledged(() => store.update(key, 1, { ...times(), envelope: Buffer.from(owner) }, call()), "updated");
    await check(key);
    if (records.length % 2 === 0) continue;
    if (await acknowledged(() => store.delete(key, { reason: "logout", at: Date.now() }, call()), true)) {
      log.endedAt = Date.now();
    }
  }
}

async function acknowledged(write, wanted) {
  try {
    return (await write()) === wanted;
  } catch {
    await sleep(20);
    return false;
  }
}

async function check(key) {
  try {
    const found = await store.read(key, call());
    if (found !== null && "envelope" in found && String(found.envelope) !== key.owner) wrong.push(key.lookup);
  } catch {
    // Nothing was found, and nothing wrong.
  }
}

function times() {
  const now = Date.now();
  return { createdAt: now, touchedAt: now, deadline: now + HOUR };
}

/** As the engine calls: it stops waiting after three seconds. */
function call() {
  return { now: Date.now(), signal: AbortSignal.timeout(3000) };
}

function digest(bytes) {
  return randomBytes(bytes).toString("base64url");
}
