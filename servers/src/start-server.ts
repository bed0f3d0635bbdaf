/** A server of one process, in a folder of its own, on a port of its own. */
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { setTimeout as delay } from "node:timers/promises";
import { makeWatchedFolder, type WatchedFolder } from "./watched-folder.ts";
import { type Place, spawnWatched, type WatchedProcess } from "./watched-process.ts";

/** A server that was started; it listens on 127.0.0.1 alone. */
export interface Server {
  readonly url: string;
  readonly port: number;
  /** Ends it as a crash would (SIGKILL, its own children too); resolves once it has ended. */
  kill(): Promise<void>;
  /** Stops its clock (SIGSTOP): connections stay open, and nothing answers. Resolves once all its threads stand still. */
  pause(): Promise<void>;
  /** Lets it go on after `pause`. */
  resume(): void;
  /** Starts it again, same port, same folder; one that runs is shut down in order first. Resolves once it answers. */
  restart(): Promise<void>;
  /** Ends it in order, and removes its folder. */
  stop(): Promise<void>;
}

/** A process of a server, as `isReady` sees it. */
export interface Running {
  readonly pid: number;
  readonly port: number;
  readonly folder: string;
}

/** What is to be known of a kind of server. */
export interface ServerKind {
  /** In messages, and in the name of the folder. */
  readonly name: string;
  readonly program: string;
  /** The system user it runs as when this process is root; null to stay root. */
  readonly user: string | null;
  /** Asks it to end in order. Default SIGTERM. */
  readonly shutDownSignal?: NodeJS.Signals;
  /** Fills the folder before the server starts in it; once. */
  prepare?(place: Place): Promise<void>;
  args(port: number, folder: string): string[];
  /** Whether this process, and not another one on its port, answers. */
  isReady(running: Running): Promise<boolean>;
  url(port: number): string;
}

const READY_MS = 60_000;
const SHUT_DOWN_MS = 10_000;
const POLL_MS = 20;

/** Below the range that outgoing connections take their ports from. */
const PORTS = { first: 17_000, last: 31_999 } as const;

/**
 * Starts a server; resolves once it answers.
 *
 * @throws {Error} with the last lines of its output, when it ends or does not answer within a minute.
 */
export async function startServer(kind: ServerKind): Promise<Server> {
  const folder = makeWatchedFolder(kind.name, kind.user);
  try {
    await kind.prepare?.({ folder: folder.path, user: kind.user });
    return serverOf(kind, folder, await launch(kind, folder.path, randomPort));
  } catch (error) {
    folder.remove();
    throw error;
  }
}

interface Launched {
  readonly port: number;
  readonly process: WatchedProcess;
}

function serverOf(kind: ServerKind, folder: WatchedFolder, first: Launched): Server {
  const { port } = first;
  let current = first.process;
  return {
    url: kind.url(port),
    port,
    kill: () => kill(current),
    pause: () => pause(current),
    resume: () => signalAll(current, "SIGCONT"),
    async restart() {
      await shutDown(kind, current);
      current = (await launch(kind, folder.path, () => port)).process;
    },
    async stop() {
      await shutDown(kind, current);
      folder.remove();
    },
  };
}

/** No test of a port is as good as the server's own attempt to listen, which nobody can overtake. */
async function launch(kind: ServerKind, folder: string, choosePort: () => number): Promise<Launched> {
  const deadline = performance.now() + READY_MS;
  for (;;) {
    const port = choosePort();
    const command = { program: kind.program, args: kind.args(port, folder) };
    const started = spawnWatched(command, { folder, user: kind.user });
    if (await becomesReady(kind, { port, folder, pid: started.pid }, started, deadline)) {
      return { port, process: started };
    }
    await kill(started);
    const output = started.outputTail();
    if (!/\bin use\b/i.test(output) || performance.now() > deadline) {
      throw new Error(`The server ${kind.name} did not start. Its last output:\n${output}`);
    }
    await delay(POLL_MS);
  }
}

async function becomesReady(
  kind: ServerKind,
  running: Running,
  started: WatchedProcess,
  deadline: number,
): Promise<boolean> {
  while (!started.hasEnded() && performance.now() < deadline) {
    if (await kind.isReady(running)) return true;
    await delay(POLL_MS);
  }
  return false;
}

async function kill(running: WatchedProcess): Promise<void> {
  signalAll(running, "SIGKILL");
  await running.ended;
}

/** A signal is on its way for a while, and a thread may answer another request meanwhile. */
async function pause(running: WatchedProcess): Promise<void> {
  signalAll(running, "SIGSTOP");
  while (!running.hasEnded() && ![running.pid, ...childrenOf(running.pid)].every(standsStill)) await delay(1);
}

async function shutDown({ shutDownSignal = "SIGTERM" }: ServerKind, running: WatchedProcess): Promise<void> {
  if (running.hasEnded()) return;
  signalAll(running, "SIGCONT");
  process.kill(running.pid, shutDownSignal);
  const timer = setTimeout(() => void kill(running), SHUT_DOWN_MS);
  await running.ended;
  clearTimeout(timer);
}

/** Signals a server and its children; it is stopped meanwhile, or it could have another child. */
function signalAll({ pid, hasEnded }: WatchedProcess, signal: NodeJS.Signals): void {
  if (hasEnded()) return;
  process.kill(pid, "SIGSTOP");
  for (const member of [...childrenOf(pid), pid]) sendSignal(member, signal);
}

function sendSignal(pid: number, signal: NodeJS.Signals): void {
  try {
    process.kill(pid, signal);
  } catch (error) {
    const hasGone = (error as NodeJS.ErrnoException).code === "ESRCH";
    if (!hasGone) throw error;
  }
}

/** Linux alone says; elsewhere a server's children notice by themselves that it is gone. */
function childrenOf(pid: number): number[] {
  const file = `/proc/${pid}/task/${pid}/children`;
  return existsSync(file) ? (readFileSync(file, "utf8").match(/\d+/g) ?? []).map(Number) : [];
}

/** Linux alone says; elsewhere a signal is taken at its word. */
function standsStill(pid: number): boolean {
  try {
    const tasks = readdirSync(`/proc/${pid}/task`);
    // After the name, which is in brackets: T is stopped, Z and X have ended.
    return tasks.every((task) => /\) [TZX]/.test(readFileSync(`/proc/${pid}/task/${task}/stat`, "utf8")));
  } catch {
    return !existsSync(`/proc/${pid}/task`);
  }
}

function randomPort(): number {
  return PORTS.first + Math.floor(Math.random() * (PORTS.last - PORTS.first));
}
