/** The processes of a load, led from here. */
import { type ChildProcessWithoutNullStreams, spawn } from "node:child_process";
import { createReadStream, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import type { Accountant } from "./account.ts";
import type { Entry } from "./journal.ts";
import type { LoadResult, Pace, Preload } from "./load.ts";
import type { CloseAnswer, Order, RunAnswer, Start } from "./orders.ts";

const WORKER = fileURLToPath(new URL("worker.js", import.meta.url));

export interface Closed {
  readonly faults: readonly string[];
  /** How often the shared sessions were counted up, by handle. */
  readonly counted: ReadonlyMap<string, number>;
}

/** So many processes that work on one storage. */
export class Crew {
  readonly #members: readonly Member[];
  readonly #folder: string;

  private constructor(members: readonly Member[], folder: string) {
    this.#members = members;
    this.#folder = folder;
  }

  static async start(size: number, start: Omit<Start, "journal">): Promise<Crew> {
    const folder = mkdtempSync(join(tmpdir(), "symbolon-load-"));
    const members = Array.from({ length: size }, (_, index) => new Member(join(folder, `journal-${index}`)));
    const crew = new Crew(members, folder);
    await Promise.all(members.map((member) => member.begin(start)));
    return crew;
  }

  /** Begins sessions, an equal part in each process. */
  async preload(preload: Preload): Promise<void> {
    const sessions = Math.ceil(preload.sessions / this.#members.length);
    await this.#all((index) => ({
      order: "preload",
      preload: { ...preload, sessions, users: `${preload.users} ${index}-` },
    }));
  }

  /** Lets all work for as long as the work here takes; answers what each of them did. */
  async runDuring(work: () => Promise<unknown>, pace: Pace = {}): Promise<LoadResult[]> {
    const running = this.#all<RunAnswer>(() => ({ order: "run", pace }));
    try {
      // Who of them fails is not waited for.
      await Promise.race([work(), running]);
    } finally {
      for (const member of this.#members) member.tell({ order: "stop" });
    }
    return running;
  }

  async runFor(seconds: number, pace?: Pace): Promise<LoadResult[]> {
    return this.runDuring(() => sleep(seconds * 1000), pace);
  }

  /** Ends the work: each looks back, and its journal goes to the accountant. */
  async close(accountant: Accountant): Promise<Closed> {
    const answers = await this.#all<CloseAnswer>(() => ({ order: "close" }));
    for (const member of this.#members) await member.readJournal((entry) => accountant.add(entry));
    const counted = new Map<string, number>();
    for (const [id, count] of answers.flatMap((answer) => Object.entries(answer.counted))) {
      counted.set(id, (counted.get(id) ?? 0) + count);
    }
    return { faults: answers.flatMap(({ faults }) => faults), counted };
  }

  /** Ends the processes, whatever they do. */
  end(): void {
    for (const member of this.#members) member.kill();
    rmSync(this.#folder, { recursive: true, force: true });
  }

  async #all<Answer>(orderOf: (index: number) => Order): Promise<Answer[]> {
    return Promise.all(this.#members.map((member, index) => member.ask<Answer>(orderOf(index))));
  }
}

/** One process. */
class Member {
  readonly #journal: string;
  readonly #child: ChildProcessWithoutNullStreams;
  readonly #lines: AsyncIterator<string>;
  readonly #errors: string[] = [];

  constructor(journal: string) {
    this.#journal = journal;
    this.#child = spawn(process.execPath, [WORKER]);
    this.#child.stderr.on("data", (chunk: Buffer) => this.#errors.push(chunk.toString()));
    this.#lines = createInterface({ input: this.#child.stdout })[Symbol.asyncIterator]();
  }

  async begin(start: Omit<Start, "journal">): Promise<void> {
    this.tell({ ...start, journal: this.#journal });
    await this.#answer();
  }

  async ask<Answer>(order: Order): Promise<Answer> {
    this.tell(order);
    return (await this.#answer()) as Answer;
  }

  tell(message: object): void {
    this.#child.stdin.write(`${JSON.stringify(message)}\n`);
  }

  async readJournal(note: (entry: Entry) => void): Promise<void> {
    for await (const line of createInterface({ input: createReadStream(this.#journal) })) {
      note(JSON.parse(line) as Entry);
    }
  }

  kill(): void {
    this.#child.kill("SIGKILL");
  }

  async #answer(): Promise<unknown> {
    const { value, done } = await this.#lines.next();
    if (done === true) throw new Error(`A process of the load ended early: ${this.#errors.join("")}`);
    return JSON.parse(value) as unknown;
  }
}
