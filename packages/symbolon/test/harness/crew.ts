/** The processes of histories: started once, on one storage, for one history after the other. */
import { type ChildProcess, fork } from "node:child_process";
import { fileURLToPath } from "node:url";
import type { Answer } from "./history.ts";
import type { Call, Order, Reply, Start } from "./orders.ts";
import { PROCESSES } from "./plan.ts";

const WORKER = fileURLToPath(new URL("worker.js", import.meta.url));

export class Crew {
  readonly #members: readonly Member[];

  private constructor(members: readonly Member[]) {
    this.#members = members;
  }

  static async start(start: Start): Promise<Crew> {
    const members = Array.from({ length: PROCESSES }, () => new Member());
    const crew = new Crew(members);
    try {
      await Promise.all(members.map(async (member) => member.begin(start)));
    } catch (error) {
      crew.kill();
      throw error;
    }
    return crew;
  }

  /** Has an operation performed; `number` is its own among all that this crew is told. */
  async perform(call: Call, number: number): Promise<Answer> {
    return this.#member(call.operation.process).ask({ order: "perform", number, call });
  }

  /** Has one finished that was held under its number. */
  async finish(process: number, held: number, now: number, number: number): Promise<Answer> {
    return this.#member(process).ask({ order: "finish", number, held, now });
  }

  /** Ends the processes, once they have closed their stores. */
  async end(): Promise<void> {
    await Promise.all(this.#members.map(async (member) => member.end()));
  }

  kill(): void {
    for (const member of this.#members) member.kill();
  }

  #member(process: number): Member {
    const member = this.#members[process];
    if (member === undefined) throw new Error(`There is no process ${process}.`);
    return member;
  }
}

interface Waiting {
  readonly resolve: (answer: Answer) => void;
  readonly reject: (error: Error) => void;
}

/** One process. */
class Member {
  readonly #child: ChildProcess;
  readonly #waiting = new Map<number | undefined, Waiting>();
  readonly #errors: string[] = [];
  readonly #exited: Promise<void>;

  constructor() {
    this.#child = fork(WORKER, { stdio: ["ignore", "inherit", "pipe", "ipc"] });
    this.#child.stderr?.on("data", (chunk: Buffer) => this.#errors.push(chunk.toString()));
    this.#child.on("message", (reply: Reply) => this.#take(reply));
    this.#exited = new Promise((resolve) => {
      this.#child.once("exit", () => {
        for (const { reject } of this.#waiting.values()) {
          reject(new Error(`A process ended early: ${this.#errors.join("")}`));
        }
        resolve();
      });
    });
  }

  async begin(start: Start): Promise<void> {
    this.#child.send(start);
    await this.#wait(undefined);
  }

  async ask(order: Order & { readonly number: number }): Promise<Answer> {
    this.#child.send(order);
    return this.#wait(order.number);
  }

  async end(): Promise<void> {
    if (this.#child.connected) this.#child.send({ order: "end" } satisfies Order);
    await this.#exited;
  }

  kill(): void {
    this.#child.kill("SIGKILL");
  }

  async #wait(number: number | undefined): Promise<Answer> {
    return new Promise((resolve, reject) => this.#waiting.set(number, { resolve, reject }));
  }

  #take({ number, answer }: Reply): void {
    const waiting = this.#waiting.get(number);
    this.#waiting.delete(number);
    waiting?.resolve(answer ?? { opening: { at: 0, from: 0, until: 0 } });
  }
}
