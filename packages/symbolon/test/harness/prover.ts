/** Proves, as far as histories can, that a store lets its managers keep their promises. */
import { generateKey } from "symbolon";
import { Crew } from "./crew.ts";
import type { History } from "./history.ts";
import { planFrom } from "./plan.ts";
import { play } from "./play.ts";
import { type Fault, faultsOf } from "./promises.ts";
import { smallest } from "./smallest.ts";
import type { Where } from "./target.ts";

/** A seed whose history breaks a promise. */
export interface Disproof {
  readonly seed: number;
  readonly faults: readonly Fault[];
  readonly history: History;
}

export class Prover {
  readonly #crew: Crew;
  /** How many operations were played. */
  operations = 0;

  private constructor(crew: Crew) {
    this.#crew = crew;
  }

  /** Starts the processes; `target` is the address of the module that opens the store, `where` what it has prepared. */
  static async start(target: string, where: Where): Promise<Prover> {
    return new Prover(await Crew.start({ target, where, key: generateKey() }));
  }

  /** Plays the history of a seed; null when it keeps every promise. */
  async prove(seed: number): Promise<Disproof | null> {
    const history = await play(planFrom(seed), this.#crew);
    this.operations += history.entries.length;
    const faults = faultsOf(history);
    return faults.length === 0 ? null : { seed, faults, history };
  }

  /** The smallest history that is found to break the same promise. */
  async reduce({ seed, faults, history }: Disproof): Promise<Disproof> {
    const promised = faults[0]!.promised;
    const breaks = (played: History): Fault[] => faultsOf(played).filter((fault) => fault.promised === promised);
    const found = await smallest(history, async (plan) => {
      const played = await play(plan, this.#crew);
      return breaks(played).length > 0 ? played : null;
    });
    return { seed, faults: breaks(found), history: found };
  }

  /** Ends the processes. */
  async end(): Promise<void> {
    await this.#crew.end();
  }
}
