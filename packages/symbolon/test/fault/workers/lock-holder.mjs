/**
 * A process that takes locks of one storage. Told on standard input, a line of JSON each: first `{ kind, where, key }`, then
 * `{ order, ... }`, one after the other; it answers each with a line of JSON, `{ code }` for what was thrown. Before it
 * answers, it says `waiting` when somebody else has the lock, and `inside` when a function under a session's lock runs.
 */
import { appendFile, open as openFile, readFile, unlink, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { createSessionManager } from "symbolon";

const lines = createInterface({ input: process.stdin })[Symbol.asyncIterator]();
say("ready");
const { kind, where, key } = await nextLine();
const { open } = await import(`../../targets/${kind}.mjs`);
const { store } = await open(where);
/** How often the store was asked for a lock, and how often it said that its messages may be missing. */
let asked = 0;
let lost = 0;
let saysWaiting = false;
const sessions = createSessionManager({ store: watched(store), keys: [key], pruneEvery: false, storeTimeout: "20s" });
say("prepared");

const held = [];

const orders = {
  /** Takes a lock, and keeps it. */
  async hold({ name, lease, wait }) {
    const before = asked;
    const taken = await sessions.lock(name, { lease, wait });
    held.push(taken);
    return { fence: taken.fence, isShared: taken.isShared, asked: asked - before, lost };
  },

  async release() {
    await held.pop().release();
    return {};
  },

  /** Waits until it is known that the lock was lost. */
  async lose() {
    const { signal } = held.at(-1);
    if (!signal.aborted) await new Promise((resolve) => signal.addEventListener("abort", resolve));
    throw signal.reason;
  },

  /** Goes through the lock so many times, all at once, and counts in a folder what is inside, and who. */
  async enter({ name, times, lease, wait, folder }) {
    const before = asked;
    const work = ({ fence }) => countUp(folder, fence);
    await Promise.all(Array.from({ length: times }, () => sessions.lock(name, { lease, wait }, work)));
    return { asked: asked - before, lost };
  },

  /** Counts up in a session, under its lock, when it is told to go on. */
  async count({ token, lease }) {
    const session = await sessions.validate(token);
    await session.lock({ lease }, async () => {
      const { n } = session.data;
      say("inside");
      await nextLine();
      session.data.n = n + 1;
      await session.save();
    });
    return { n: session.data.n };
  },

  /** Counts up in a session so many times, all at once, each under its lock. */
  async countAll({ token, times, lease, wait }) {
    const counting = Array.from({ length: times }, async () => {
      const session = await sessions.validate(token);
      await session.lock({ lease, wait }, async () => {
        const { n } = session.data;
        await new Promise(setImmediate);
        session.data.n = n + 1;
      });
    });
    await Promise.all(counting);
    return {};
  },
};

for (;;) {
  const { order, ...told } = await nextLine();
  // Once for each order: how often one looks is nobody's business.
  saysWaiting = true;
  try {
    say(JSON.stringify(await orders[order](told)));
  } catch (error) {
    say(JSON.stringify({ code: error.code ?? error.message }));
  }
}

/** Nobody else may be here: a file that is there already is an error. What is read is written a while later. */
async function countUp(folder, fence) {
  const inside = join(folder, "inside");
  await (await openFile(inside, "wx")).close();
  const count = Number(await readFile(join(folder, "count"), "utf8"));
  await appendFile(join(folder, "fences"), `${fence}\n`);
  await new Promise(setImmediate);
  await writeFile(join(folder, "count"), `${count + 1}`);
  await unlink(inside);
}

function watched(inner) {
  return new Proxy(inner, {
    get(target, name) {
      const method = Reflect.get(target, name);
      if (typeof method !== "function") return method;
      const call = method.bind(target);
      if (name === "acquireLock") return (...given) => acquire(call, given);
      if (name === "subscribe") return (listener, ...given) => call(countingLosses(listener), ...given);
      return call;
    },
  });
}

async function acquire(acquireLock, given) {
  asked++;
  const answer = await acquireLock(...given);
  if (answer.status === "held" && saysWaiting) say("waiting");
  if (answer.status === "held") saysWaiting = false;
  return answer;
}

function countingLosses(listener) {
  const { changed, released, restored } = listener;
  return { changed, released, restored, lost: () => (lost++, listener.lost()) };
}

async function nextLine() {
  const { value, done } = await lines.next();
  if (done) process.exit(0);
  return JSON.parse(value);
}

function say(line) {
  process.stdout.write(`${line}\n`);
}
