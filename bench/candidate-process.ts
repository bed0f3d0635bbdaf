/** A candidate in a process of its own, asked from here. */
import { type ChildProcess, fork } from "node:child_process";
import { fileURLToPath } from "node:url";
import { type Candidate, nameOf } from "./candidates/candidate.ts";
import type { OrderAnswer, Orders } from "./orders.ts";

const WORKER = fileURLToPath(new URL("worker.js", import.meta.url));

export class CandidateProcess {
  readonly #name: string;
  readonly #child: ChildProcess;
  readonly #waiting = new Map<
    number,
    { readonly resolve: (value: unknown) => void; readonly reject: (error: Error) => void }
  >();
  readonly #said: string[] = [];
  #orders = 0;

  private constructor(candidate: Candidate, redisUrl: string) {
    this.#name = nameOf(candidate);
    const env = { ...process.env, NODE_ENV: "production" };
    this.#child = fork(WORKER, [candidate.framework, this.#name, redisUrl], {
      execArgv: ["--expose-gc"],
      env,
      stdio: ["ignore", "ignore", "pipe", "ipc"],
    });
    // Peers warn of their own memory stores; it is shown when something fails.
    this.#child.stderr?.on("data", (chunk: Buffer) => this.#said.push(chunk.toString()));
    this.#child.on("message", (answer: OrderAnswer) => this.#settle(answer));
    this.#child.once("exit", (code) => this.#fail(`ended with ${code}`));
  }

  static async start(candidate: Candidate, redisUrl: string): Promise<CandidateProcess> {
    const started = new CandidateProcess(candidate, redisUrl);
    await started.#answerTo(0);
    return started;
  }

  async ask<Name extends keyof Orders>(
    name: Name,
    ...args: Parameters<Orders[Name]>
  ): Promise<Awaited<ReturnType<Orders[Name]>>> {
    const id = ++this.#orders;
    this.#child.send({ id, name, args });
    return (await this.#answerTo(id)) as Awaited<ReturnType<Orders[Name]>>;
  }

  /** Ends it, whatever it does. */
  end(): void {
    this.#child.kill("SIGKILL");
  }

  #answerTo(id: number): Promise<unknown> {
    return new Promise((resolve, reject) => this.#waiting.set(id, { resolve, reject }));
  }

  #settle({ id, value, error }: OrderAnswer): void {
    const waiting = this.#waiting.get(id);
    this.#waiting.delete(id);
    if (error === undefined) waiting?.resolve(value);
    else waiting?.reject(new Error(`${this.#name}: ${error}`));
  }

  #fail(why: string): void {
    for (const { reject } of this.#waiting.values())
      reject(new Error(`${this.#name}: its process ${why}. ${this.#said.join("")}`));
    this.#waiting.clear();
  }
}
