/** Processes of their own, for tests of what several do on one file. */
import { type ChildProcessWithoutNullStreams, spawn } from "node:child_process";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { expect, onTestFinished } from "vitest";

/** A process that runs a script of `fault/workers`. */
export interface RunningWorker {
  readonly worker: ChildProcessWithoutNullStreams;
  /** What it says next; rejects with its errors when it has ended. */
  readonly nextLine: () => Promise<string>;
  readonly tell: (message: unknown) => void;
}

/** A process that runs a worker script and has said that it is ready; it ends with the test. */
export async function startWorker(script: string): Promise<RunningWorker> {
  return spawnWorker(script, onTestFinished);
}

/** As `startWorker`, for a process that ends when the caller says so. */
export async function spawnWorker(script: string, onFinished: (end: () => void) => void): Promise<RunningWorker> {
  const path = fileURLToPath(new URL(`../fault/workers/${script}`, import.meta.url));
  const worker: ChildProcessWithoutNullStreams = spawn(process.execPath, [path]);
  onFinished(() => void worker.kill("SIGKILL"));
  const errors: string[] = [];
  worker.stderr.on("data", (chunk) => errors.push(String(chunk)));
  const lines = createInterface({ input: worker.stdout })[Symbol.asyncIterator]();
  const nextLine = async (): Promise<string> => {
    const { value, done } = await lines.next();
    if (done === true) throw new Error(`${script} ended early: ${errors.join("")}`);
    return value;
  };
  expect(await nextLine()).toBe("ready");
  return { worker, nextLine, tell: (message) => void worker.stdin.write(`${JSON.stringify(message)}\n`) };
}

/** Two processes that are told the same at the same time. */
export async function twoWorkers(script: string, message: unknown): Promise<RunningWorker[]> {
  const workers = await Promise.all([startWorker(script), startWorker(script)]);
  for (const { tell } of workers) tell(message);
  return workers;
}

/** Two processes that get their orders, begin at the same time, and answer with a line of JSON each. */
export async function playTwo<Answer>(script: string, orders: object): Promise<Answer[]> {
  const workers = await twoWorkers(script, orders);
  for (const { nextLine } of workers) expect(await nextLine()).toBe("prepared");
  for (const { tell } of workers) tell("go");
  return Promise.all(workers.map(async ({ nextLine }) => JSON.parse(await nextLine()) as Answer));
}
