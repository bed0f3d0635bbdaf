/** Other processes on the same store. */
import { spawn } from "node:child_process";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { onTestFinished } from "vitest";

/** A process that has its orders and waits. */
export interface Worker<Answer> {
  /** Lets it go to work. */
  go(): void;
  /** What it says when it is done. */
  answer(): Promise<Answer>;
}

/**
 * Starts a script of `test/fault/workers` and waits until it is ready. The script reads its orders as a line of JSON,
 * says `ready`, waits for another line, and answers with a line of JSON. Keys and tokens go through its standard input.
 */
export async function startWorker<Answer>(script: string, orders: object): Promise<Worker<Answer>> {
  const path = fileURLToPath(new URL(`../fault/workers/${script}`, import.meta.url));
  const child = spawn(process.execPath, [path]);
  onTestFinished(() => void child.kill("SIGKILL"));
  const errors: string[] = [];
  child.stderr.on("data", (chunk) => errors.push(String(chunk)));
  child.stdin.on("error", () => undefined);
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  const nextLine = async (): Promise<string> => {
    const { value, done } = await lines.next();
    if (done === true) throw new Error(`${script} ended early: ${errors.join("")}`);
    return value;
  };
  child.stdin.write(`${JSON.stringify(orders)}\n`);
  const first = await nextLine();
  if (first !== "ready") throw new Error(`${script} said ${first}.`);
  return {
    go: () => void child.stdin.write("go\n"),
    answer: async () => JSON.parse(await nextLine()) as Answer,
  };
}
