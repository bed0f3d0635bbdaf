/**
 * Locks between all who share the root: other calls, threads and processes.
 *
 * A lock is a folder that always holds one token, and what its holder is working on. The name of the token says who
 * has the lock, and renaming it hands the lock on: of several who try, the file system lets one succeed. A name that
 * says a dead holder is nobody else's, so that two who find it dead cannot both take over.
 *
 * Several changes at once are first written down as a plan. Whoever takes over from a dead holder carries out the plan
 * that it left, and throws away everything else. So what is done under a lock is done wholly or not at all.
 */
import { once } from "node:events";
import { link, readdir, rename, rm } from "node:fs/promises";
import { dirname, join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { StoreUnavailableError } from "../../errors.ts";
import { type FileHolder, HOLDERS } from "./file-holder.ts";
import {
  codeOf,
  findFolder,
  makeFile,
  makeFolder,
  makeOneFolder,
  moveFile,
  namesIn,
  randomName,
  readWhole,
  removeFile,
  syncFolder,
} from "./file-system.ts";

/** One file to write or to remove. */
export interface FileChange {
  /** Its path under the root; its folder is there. */
  readonly path: string;
  /** New content, null for none. */
  readonly bytes: Uint8Array | null;
}

/** What the holder of a lock can do that others cannot. */
export interface Held {
  /** Makes all of the changes, in one atomic step for everybody who takes the same lock. */
  commit(changes: readonly FileChange[]): Promise<void>;
  /** Makes an empty file, unless it exists. It is one more name of the token, which on most disks is cheap. */
  mark(path: string): Promise<void>;
}

/** Locks by name. */
export interface FileLocks {
  /** Does the work while nobody else holds the lock. Waits until `signal` says that nobody wants it any more. */
  hold<T>(name: string, signal: AbortSignal, work: (held: Held) => Promise<T>): Promise<T>;
  /** Finishes what dead holders left. */
  takeOver(signal: AbortSignal): Promise<void>;
  /** Waits for the work that is under way. */
  idle(): Promise<void>;
}

const LOCKS = "locks";
const FREE = "free";
/** Nobody holds it, and its plan is not carried out. */
const BROKEN = "broken";
const HELD = "held.";
/** A lock that is being made. */
const NEW = "new.";
const PLAN = "plan";
const TOKEN = /^(?:free|broken|held\..*)$/;

/** A try costs 20 us, a look at the holder some five times that. */
const TRIES_PER_LOOK = 8;
/** So that a lock that was left is found within some 20 ms, and nobody waits much longer than the work takes. */
const LONGEST_PAUSE_MS = 5;
/** A token is never away, but a folder that is read while it is renamed may not show it. */
const LOOKS_IN_VAIN = 50;

/** A plan names files in these folders only. */
const PLANNED = /^(?:records\/[0-9a-f]+|leases)\/[0-9a-f.]+(?:\/[0-9a-f.]+)?$/;

interface Step {
  /** The file that takes the place of the other, null to remove that one. */
  readonly from: string | null;
  readonly path: string;
}

/** Locks of one handle. */
export function fileLocks(root: string, holder: FileHolder, sync: boolean): FileLocks {
  /** By lock, the end of the last call of this handle that waits for it or has it. */
  const tails = new Map<string, Promise<unknown>>();

  async function makeLock(name: string): Promise<void> {
    const folder = await makeFolder(root, LOCKS);
    const unfinished = join(folder, `${NEW}${await holder.id()}.${randomName()}`);
    await makeOneFolder(unfinished);
    try {
      await makeFile(join(unfinished, FREE), new Uint8Array(0), sync);
      // It appears with its token, or not at all: the name of a folder that is not empty is taken.
      await rename(unfinished, join(folder, name));
    } catch (error) {
      await rm(unfinished, { recursive: true });
      if (codeOf(error) !== "ENOTEMPTY" && codeOf(error) !== "EEXIST") throw error;
    }
  }

  async function lockFolder(name: string): Promise<string> {
    const path = `${LOCKS}/${name}`;
    const found = await findFolder(root, path);
    if (found !== null) return found;
    await makeLock(name);
    return makeFolder(root, path);
  }

  /** Waits for the token and takes it; answers the folder. */
  async function take(name: string, signal: AbortSignal): Promise<string> {
    const folder = await lockFolder(name);
    const mine = HELD + (await holder.id());
    let looks = 0;
    for (let tries = 0; ; tries++) {
      stopIfAborted(signal);
      if (await moveFile(join(folder, FREE), join(folder, mine))) return folder;
      if (tries % TRIES_PER_LOOK === 1) {
        const token = await tokenIn(folder);
        looks = token === undefined ? looks + 1 : 0;
        if (looks > LOOKS_IN_VAIN) throw new TypeError(`Stop all servers and remove ${folder}: its token is gone.`);
        if (token !== undefined && (await takeLeft(folder, token, mine))) return folder;
      }
      await delay(Math.random() * Math.min(tries, LONGEST_PAUSE_MS));
    }
  }

  /** Takes the token of somebody who is dead, unless another does so first, and does what was left to do. */
  async function takeLeft(folder: string, token: string, mine: string): Promise<boolean> {
    if (!(await isLeft(token, mine)) || !(await moveFile(join(folder, token), join(folder, mine)))) return false;
    await finishLeft(folder, mine);
    return true;
  }

  /** Whether nobody holds the lock in spite of its token. Its own calls take turns, so none of them does. */
  async function isLeft(token: string, mine: string): Promise<boolean> {
    if (token === BROKEN || token === mine) return true;
    return token.startsWith(HELD) && !(await holder.isAlive(token.slice(HELD.length)));
  }

  async function finishLeft(folder: string, mine: string): Promise<void> {
    try {
      const plan = await readWhole(join(folder, PLAN));
      if (plan !== null) await carryOut(stepsOf(plan), folder);
      for (const name of await readdir(folder)) if (!TOKEN.test(name)) await removeFile(join(folder, name));
    } catch (error) {
      await rename(join(folder, mine), join(folder, BROKEN));
      throw error;
    }
  }

  /** Leaves out steps that were done before; `done` is told of each one. */
  async function carryOut(steps: readonly Step[], folder: string, done: () => void = ignore): Promise<void> {
    for (const { from, path } of steps) {
      const target = join(root, path);
      if (from === null) await removeFile(target);
      else await moveFile(join(folder, from), target);
      done();
    }
    if (!sync) return;
    const folders = new Set(steps.map(({ path }) => dirname(path)));
    for (const name of folders) await syncFolder(join(root, name));
  }

  async function stage({ path, bytes }: FileChange, folder: string): Promise<Step> {
    if (bytes === null) return { from: null, path };
    const from = randomName();
    await makeFile(join(folder, from), bytes, sync);
    return { from, path };
  }

  async function writePlan(steps: readonly Step[], folder: string): Promise<void> {
    const unfinished = join(folder, randomName());
    await makeFile(unfinished, Buffer.from(JSON.stringify(steps)), sync);
    await rename(unfinished, join(folder, PLAN));
    if (sync) await syncFolder(folder);
  }

  /** The changes of one holder; `fail` is told when they may be half done. */
  async function commit(changes: readonly FileChange[], folder: string, fail: () => void): Promise<void> {
    let done = 0;
    try {
      const steps: Step[] = [];
      for (const change of changes) steps.push(await stage(change, folder));
      if (steps.length > 1) await writePlan(steps, folder);
      await carryOut(steps, folder, () => done++);
      if (steps.length > 1) await removeFile(join(folder, PLAN));
    } catch (error) {
      // With nothing done, the plan is void. Once something is, it must be carried out, by whoever comes next.
      if (done === 0) await clear(folder).catch(fail);
      else fail();
      throw error;
    }
  }

  async function mark(token: string, path: string): Promise<void> {
    try {
      await link(token, path);
      if (sync) await syncFolder(dirname(path));
    } catch (error) {
      if (codeOf(error) === "EEXIST") return;
      // A file has 65 000 names at most, on ext4.
      if (codeOf(error) !== "EMLINK") throw error;
      await makeFile(path, new Uint8Array(0), sync);
    }
  }

  async function run<T>(name: string, signal: AbortSignal, work: (held: Held) => Promise<T>): Promise<T> {
    const folder = await take(name, signal);
    const mine = join(folder, HELD + (await holder.id()));
    let free = FREE;
    try {
      return await work({
        commit: (changes) => commit(changes, folder, () => (free = BROKEN)),
        mark: (path) => mark(mine, join(root, path)),
      });
    } finally {
      await rename(mine, join(folder, free));
    }
  }

  async function isOver(id: string): Promise<boolean> {
    return id !== (await holder.id()) && !(await holder.isAlive(id));
  }

  async function hold<T>(name: string, signal: AbortSignal, work: (held: Held) => Promise<T>): Promise<T> {
    const before = tails.get(name);
    let end = ignore;
    const own = new Promise<void>((resolve) => (end = resolve));
    const tail = before === undefined ? own : before.then(() => own);
    tails.set(name, tail);
    try {
      if (before !== undefined) await unlessAborted(before, signal);
      return await run(name, signal, work);
    } finally {
      end();
      if (tails.get(name) === tail) tails.delete(name);
    }
  }

  /** Brings one lock to its end if one of those held it. */
  async function takeOverLock(name: string, over: ReadonlySet<string>, signal: AbortSignal): Promise<void> {
    const folder = await findFolder(root, `${LOCKS}/${name}`);
    if (folder === null) return;
    if (name.startsWith(NEW)) {
      if (over.has(name.split(".")[1] ?? "")) await rm(folder, { recursive: true });
      return;
    }
    const token = await tokenIn(folder);
    if (token !== undefined && over.has(token.slice(HELD.length))) await hold(name, signal, async () => {});
  }

  return {
    hold,

    async takeOver(signal) {
      const over = new Set<string>();
      for (const id of await namesIn(root, HOLDERS)) if (await isOver(id)) over.add(id);
      if (over.size === 0) return;
      for (const name of await namesIn(root, LOCKS)) {
        stopIfAborted(signal);
        await takeOverLock(name, over, signal);
      }
      // Only now: as long as a token has its name, it must be known to be dead.
      for (const id of over) await removeFile(join(root, HOLDERS, id));
    },

    async idle() {
      await Promise.all(tails.values());
    },
  };
}

/** Insists that somebody still waits. */
export function stopIfAborted(signal: AbortSignal): void {
  if (signal.aborted) throw new StoreUnavailableError("The file store stopped: the caller no longer waits.");
}

async function unlessAborted(before: Promise<unknown>, signal: AbortSignal): Promise<void> {
  stopIfAborted(signal);
  const over = new AbortController();
  const aborted = once(signal, "abort", { signal: over.signal }).catch(() => {});
  await Promise.race([before, aborted]);
  over.abort();
  stopIfAborted(signal);
}

async function tokenIn(folder: string): Promise<string | undefined> {
  return (await readdir(folder)).find((name) => TOKEN.test(name));
}

function ignore(): void {}

/** Throws away what a commit prepared. */
async function clear(folder: string): Promise<void> {
  await removeFile(join(folder, PLAN));
  for (const name of await readdir(folder)) if (!TOKEN.test(name)) await removeFile(join(folder, name));
}

/** A plan that a power loss tore was never begun. */
function stepsOf(plan: Buffer): Step[] {
  try {
    const steps: unknown = JSON.parse(plan.toString());
    return Array.isArray(steps) ? steps.filter(isStep) : [];
  } catch {
    return [];
  }
}

function isStep(step: unknown): step is Step {
  if (typeof step !== "object" || step === null || !("from" in step) || !("path" in step)) return false;
  const { from, path } = step;
  const isStaged = from === null || (typeof from === "string" && /^[0-9a-f]+$/.test(from));
  return isStaged && typeof path === "string" && PLANNED.test(path);
}
