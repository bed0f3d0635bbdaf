/** What a measurement works with: how much to do, and the servers and processes it needs, started when first asked for. */
import { startPostgres, startRedis } from "symbolon-servers";
import { CandidateProcess } from "./candidate-process.ts";
import { type Candidate, nameOf } from "./candidates/candidate.ts";
import { allCandidates, candidatesOn } from "./candidates/index.ts";
import type { Report } from "./report.ts";

/** How much is done. */
export type Size = "full" | "quick" | "tiny";

export interface Measurement {
  readonly name: string;
  /** In one line, for the list of what there is. */
  readonly what: string;
  run(bench: Bench): Promise<Report>;
}

interface Stopping {
  readonly url: string;
  stop(): Promise<void>;
}

export class Bench {
  readonly size: Size;
  /** All that is compared; in the tiniest run one framework's. */
  readonly candidates: readonly Candidate[];
  readonly #servers = new Map<string, Promise<Stopping>>();
  readonly #processes = new Map<string, Promise<CandidateProcess>>();

  private constructor(size: Size, candidates: readonly Candidate[]) {
    this.size = size;
    this.candidates = candidates;
  }

  static async open(size: Size): Promise<Bench> {
    return new Bench(size, size === "tiny" ? await candidatesOn("Koa") : await allCandidates());
  }

  /** One of three, by how much is asked. */
  pick<T>(choices: Readonly<Record<Size, T>>): T {
    return choices[this.size];
  }

  async redisUrl(): Promise<string> {
    return this.#server("redis", startRedis);
  }

  async postgresUrl(): Promise<string> {
    return this.#server("postgres", startPostgres);
  }

  /** The process of a candidate; the same one for all measurements. */
  async processOf(candidate: Candidate): Promise<CandidateProcess> {
    const name = nameOf(candidate);
    const redisUrl = candidate.place === "Redis" ? await this.redisUrl() : "";
    const started = this.#processes.get(name) ?? CandidateProcess.start(candidate, redisUrl);
    this.#processes.set(name, started);
    return started;
  }

  async close(): Promise<void> {
    for (const started of this.#processes.values()) {
      const process = await started.catch(() => null);
      process?.end();
    }
    for (const started of this.#servers.values()) await started.then((server) => server.stop(), Boolean);
  }

  /** Always its own: what a server did is counted, and nobody else may ask it for anything. */
  async #server(name: string, start: () => Promise<Stopping>): Promise<string> {
    const started = this.#servers.get(name) ?? start();
    this.#servers.set(name, started);
    return (await started).url;
  }
}
