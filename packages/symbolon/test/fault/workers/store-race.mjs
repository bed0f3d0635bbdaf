/**
 * One of two processes on one storage: plays the games it is told, one after the other, and answers each with a line of
 * JSON: `{ answer, from, until }`, the instants in microseconds of a clock that all processes share.
 *
 * Told on standard input, a line of JSON each: first `{ kind, where }`, then `{ game, ... }`.
 */
import { createInterface } from "node:readline";
import { setTimeout as sleep } from "node:timers/promises";
import { createSessionManager, isTombstone, openSession } from "symbolon";

const lines = createInterface({ input: process.stdin })[Symbol.asyncIterator]();
process.stdout.write("ready\n");
const { kind, where } = JSON.parse((await lines.next()).value);
const target = await import(`../../targets/${kind}.mjs`);
const { store } = await target.open(where);
process.stdout.write("prepared\n");

const games = {
  /** How many of so many creates of each record won, and with which envelope. */
  create: ({ records, callers, mark }) =>
    forEach(records, async (record) => {
      const envelopes = Array.from({ length: callers }, (_, index) => `${mark} ${index}`);
      return winners(envelopes, (envelope) => store.create(recordOf(record, envelope), call()), "created");
    }),

  /** How many of so many updates of the first version won, and with which envelope. */
  update: ({ records, callers, mark }) =>
    forEach(records, async (record) => {
      const envelopes = Array.from({ length: callers }, (_, index) => `${mark} ${index}`);
      return winners(envelopes, (envelope) => store.update(record, 1, changeOf(record, envelope), call()), "updated");
    }),

  /** How many of so many deletes ended each record, and with which reason. */
  delete: ({ records, callers, mark }) =>
    forEach(records, async (record) => {
      const reasons = Array.from({ length: callers }, (_, index) => `${mark}-${index}`);
      return winners(reasons, (reason) => store.delete(record, { reason, at: record.createdAt }, call()), true);
    }),

  /** Updates each record until it has ended; ends it after so many updates of its own, null for never. */
  outlive: ({ records, endsAfter }) =>
    forEach(records, async (record) => {
      let lastBegunAt = 0;
      let updates = 0;
      for (;;) {
        if (updates === endsAfter) {
          const wasLive = await store.delete(record, { reason: "logout", at: record.createdAt }, call());
          return { wasLive, endedAt: now(), lastBegunAt, updates };
        }
        const begunAt = now();
        const found = await store.read(record, call());
        if (isTombstone(found)) return { lastBegunAt, updates };
        const answer = await store.update(record, found.version, changeOf(record, "next"), call());
        if (answer === "missing") return { lastBegunAt, updates };
        if (answer !== "updated") continue;
        lastBegunAt = begunAt;
        updates++;
      }
    }),

  /** Counts up in the envelope, by conditional updates; how often one had to be repeated. */
  async increment({ records: [record], times }) {
    let conflicts = 0;
    for (let done = 0; done < times;) {
      const found = await store.read(record, call());
      const next = Number(Buffer.from(found.envelope).toString()) + 1;
      const answer = await store.update(record, found.version, changeOf(record, `${next}`), call());
      if (answer === "updated") done++;
      else conflicts++;
    }
    return conflicts;
  },

  /** Admits so many records of each owner at once; what became of every one. */
  async admit({ records, callers, rules, mark }) {
    const said = await forEach(records, (record) =>
      atOnce(callers, async (index) => {
        const lookup = `${record.lookup.slice(0, -6)}${mark}${String(index).padStart(5, "0")}`;
        const admission = await store.admit(recordOf({ ...record, lookup }, "admitted"), rules, call());
        const { status, evicted = [], limit = null } = admission;
        return { owner: record.owner, lookup, status, limit, evicted: evicted.map((one) => one.lookup) };
      }),
    );
    return said.flat();
  },

  /** Takes a lock so many times, and counts up under it; which fence it had at each count. */
  async lock({ records: [record], lock, times, mark }) {
    const held = [];
    while (held.length < times) {
      const holder = `${mark} ${held.length}`;
      const { status, fence } = await store.acquireLock(lock, holder, 60_000, call());
      if (status === "held") {
        await sleep(Math.random() * 2);
        continue;
      }
      const found = await store.read(record, call());
      const count = Number(Buffer.from(found.envelope).toString()) + 1;
      const answer = await store.update(record, found.version, changeOf(record, `${count}`), call());
      held.push({ fence, count, answer });
      if (!(await store.releaseLock(lock, holder, call()))) throw new Error("The lock was lost.");
    }
    return held;
  },

  /** Takes a lock for a short while so many times, and each time updates until it has lost it: how often, and what ended it. */
  async takeOver({ records: [record], lock, lease, times, mark }) {
    const turns = [];
    while (turns.length < times) {
      const held = { lock: lock.lock, holder: `${mark} ${turns.length}` };
      const { status } = await store.acquireLock(lock, held.holder, lease, call());
      if (status === "held") {
        await sleep(Math.random() * 2);
        continue;
      }
      const { version } = await store.read(record, call());
      const update = (updated) =>
        store.updateUnderLock(record, version + updated, changeOf(record, held.holder), held, call());
      let updated = 0;
      let last = await update(updated);
      while (last === "updated") last = await update(++updated);
      turns.push({ updated, last });
    }
    return turns;
  },

  /** Prunes in small batches until nothing is left; how many were removed. */
  async prune({ before, limit }) {
    let removed = 0;
    for (;;) {
      const batch = await store.prune(before, limit, call());
      if (batch === 0) return removed;
      removed += batch;
    }
  },

  /** Logs a user in so many times at once; what became of each: `{ token, createdAt }` or `{ code, limit }`. */
  logIn({ key, namespace, userId, limits, times }) {
    const options = { store, keys: [key], namespace, limits, seal: "server", storeTimeout: "1m", pruneEvery: false };
    const sessions = createSessionManager(options);
    return atOnce(times, async () => {
      try {
        return await logIn(sessions, userId, limits);
      } catch ({ code, limit, message }) {
        return { code, limit, message };
      }
    });
  },
};

for await (const line of lines) {
  const { game, ...orders } = JSON.parse(line);
  const from = now();
  const answer = await games[game](orders);
  process.stdout.write(`${JSON.stringify({ answer, from, until: now() })}\n`);
}

/** By `create` where sessions are handed out again, else by `login`, each in a request of its own. */
async function logIn(sessions, userId, limits) {
  if (limits.onLimit === "reuse") {
    const { token, createdAt } = await sessions.create({ userId });
    return { token, createdAt };
  }
  const { session } = await openSession(sessions, { get: () => undefined });
  await session.login(userId);
  return { token: session.takeToken(), createdAt: session.createdAt };
}

function now() {
  return Number(process.hrtime.bigint() / 1000n);
}

function call() {
  return { now: Date.now(), signal: new AbortController().signal };
}

function recordOf(fields, envelope) {
  return { ...fields, envelope: Buffer.from(envelope), data: null };
}

function changeOf({ touchedAt, deadline }, envelope) {
  return { touchedAt, deadline, envelope: Buffer.from(envelope) };
}

function atOnce(times, work) {
  return Promise.all(Array.from({ length: times }, (_, index) => work(index)));
}

async function forEach(items, work) {
  const answers = [];
  for (const item of items) answers.push(await work(item));
  return answers;
}

/** Tries all at once; those that got the answer of a winner. */
async function winners(tries, attempt, won) {
  const answers = await Promise.all(tries.map(attempt));
  return tries.filter((_, index) => answers[index] === won);
}
