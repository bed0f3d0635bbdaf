/**
 * Rotation (DESIGN 8.4): the tokens of a session follow one another, one after each; how long one is good depends on when
 * the next was first presented.
 */
import type { Entry } from "./history.ts";
import type { Fault, Promised } from "./promises.ts";
import { deedOf, isRefusedAsDead, type Story } from "./stories.ts";

/** When something may have happened, and by when it certainly had: microseconds, and ms of the managers' clock. */
interface Bounds {
  readonly mayFrom: number;
  readonly mayAt: number;
  readonly mustBy: number;
  readonly mustAt: number;
}

/** What is known of one token. */
interface Link {
  readonly successor: string | null;
  /** When it was replaced; null where it was not. */
  readonly replaced: Bounds | null;
  /** Since when grace counts for the token before it; null where it does not yet. */
  readonly arrived: Bounds | null;
}

export function tokenFaults(story: Story, grace: number): Fault[] {
  const chain = chainOf(story);
  if (!Array.isArray(chain)) return [chain];
  const links = new Map(chain.map((token, place) => [token, linkOf(story, token, chain[place + 1] ?? null)]));
  const judge = new Judge(story, links, grace);
  return story.presented.flatMap((entry) => judge.faultsIn(entry));
}

/** The tokens in the order in which they followed one another; a fault where two followed one. */
function chainOf({ begun, found }: Story): string[] | Fault {
  const chain = [begun.given ?? ""];
  const steps = found.filter(
    ({ presented, given }) => given !== undefined && presented !== null && given !== presented,
  );
  const rotations = steps.filter(({ operation }) => operation.does !== "login");
  for (;;) {
    const last = chain.at(-1)!;
    // Whoever was slow may be given a later one; the next of a token is the one that others get from it, too.
    const next = new Map(rotations.filter(({ presented }) => presented === last).map((entry) => [entry.given!, entry]));
    for (const token of next.keys()) {
      for (const later of reachable(rotations, token)) next.delete(later);
    }
    if (next.size === 0) return chain;
    if (next.size > 1) return fault("a token has one successor", "a token was followed by two", ...next.values());
    chain.push(...next.keys());
  }
}

/** The tokens that are handed out to those who present this one, and so on. */
function reachable(rotations: readonly Entry[], token: string): Set<string> {
  const reached = new Set<string>();
  const follow = (from: string): void => {
    for (const { presented, given } of rotations) {
      if (presented !== from || reached.has(given!)) continue;
      reached.add(given!);
      follow(given!);
    }
  };
  follow(token);
  return reached;
}

function linkOf({ found }: Story, token: string, successor: string | null): Link {
  const mints = found.filter(
    ({ presented, given }) => presented === token && given === successor && successor !== null,
  );
  const arrivals = found.filter(({ presented }) => presented === token);
  const asked = found.filter(
    ({ given, presented, operation }) => given === token && presented !== token && operation.does === "refresh",
  );
  return {
    successor,
    replaced: mints.length === 0 ? null : boundsOf(mints, mints),
    arrived: arrivals.length + asked.length === 0 ? null : boundsOf([...arrivals, ...asked], arrivals.filter(notes)),
  };
}

/** Whether whoever came with a token has written down that it came. */
function notes({ operation, outcome, isGone }: Entry): boolean {
  if (operation.does === "validate") return true;
  return (
    isGone !== true &&
    NOTING.has(operation.does) &&
    (outcome === undefined || outcome === "saved" || outcome === "unchanged")
  );
}

const NOTING: ReadonlySet<string> = new Set(["read", "write", "append", "lockedAppend", "lockedRequest", "rotate"]);

function least(numbers: readonly number[]): number {
  return Math.min(Infinity, ...numbers);
}

function boundsOf(possible: readonly Entry[], certain: readonly Entry[]): Bounds {
  return {
    mayFrom: least(possible.map((entry) => deedOf(entry).from)),
    mayAt: least(possible.map((entry) => deedOf(entry).at)),
    mustBy: least(certain.map((entry) => deedOf(entry).until)),
    mustAt: least(certain.map((entry) => deedOf(entry).at)),
  };
}

class Judge {
  readonly #story: Story;
  readonly #links: ReadonlyMap<string, Link>;
  readonly #grace: number;

  constructor(story: Story, links: ReadonlyMap<string, Link>, grace: number) {
    this.#story = story;
    this.#links = links;
    this.#grace = grace;
  }

  faultsIn(entry: Entry): Fault[] {
    const link = this.#links.get(entry.presented ?? "");
    if (link === undefined) return [];
    if (entry.found === this.#story.id) return this.#whenLetIn(entry, link);
    return this.#whenRefused(entry, link);
  }

  #whenLetIn(entry: Entry, link: Link): Fault[] {
    if (this.#isCertainlyDead(entry, link)) {
      return [fault(GOOD, "a token was let in though its grace was over", entry)];
    }
    if (!this.#owesSuccessor(entry, link) || entry.given === link.successor) return [];
    return [fault("a token has one successor", "the token before was not answered with the present one", entry)];
  }

  #whenRefused(entry: Entry, link: Link): Fault[] {
    const { refused, opening, hasEnded = false, outcome } = entry;
    if (hasEnded || outcome !== undefined || this.#mayBeDead(entry, link)) return [];
    if (refused === "reuse-detected") return [fault(GOOD, "a token that was still good counted as reused", entry)];
    const mayHaveEnded = this.#story.ends.some((end) => end.entry !== entry && end.from < opening.until);
    // That it ended without a cause is for others to find.
    if (isRefusedAsDead(entry) || (refused === undefined && mayHaveEnded)) return [];
    return [fault(GOOD, `a good token was refused${refused === undefined ? "" : `: ${refused}`}`, entry)];
  }

  /** Whether a token may have been too old when it was presented. */
  #mayBeDead({ opening }: Entry, { successor, replaced }: Link): boolean {
    const next = successor === null ? undefined : this.#links.get(successor);
    if (next === undefined || replaced === null || replaced.mayFrom > opening.until) return false;
    const isOlder = next.replaced !== null && next.replaced.mayFrom < opening.until;
    const isOver = next.arrived !== null && next.arrived.mayAt + this.#grace <= opening.at;
    return isOlder || isOver;
  }

  /** Whether a token must have been too old when it was presented. */
  #isCertainlyDead({ opening }: Entry, { successor }: Link): boolean {
    const next = successor === null ? undefined : this.#links.get(successor);
    if (next === undefined) return false;
    const isOlder = next.replaced !== null && next.replaced.mustBy < opening.from;
    const { arrived } = next;
    return isOlder || (arrived !== null && arrived.mustBy < opening.from && arrived.mustAt + this.#grace <= opening.at);
  }

  /** Whether it has to be told the successor of its token: that was there before, and was the last one until it was done. */
  #owesSuccessor(entry: Entry, { successor, replaced }: Link): boolean {
    const { opening, operation, outcome, isGone } = entry;
    if (successor === null || replaced === null || replaced.mustBy > opening.from) return false;
    if (operation.does === "login" || operation.does === "logout") return false;
    if (isGone === true || outcome === "gone" || outcome === "lost" || outcome === "conflict" || outcome === "timeout")
      return false;
    const { until } = deedOf(entry);
    const next = this.#links.get(successor)?.replaced ?? null;
    return (next === null || next.mayFrom > until) && this.#story.ends.every(({ from }) => from > until);
  }
}

const GOOD: Promised = "tokens are good for as long as they should be";

function fault(promised: Promised, what: string, ...entries: readonly Entry[]): Fault {
  return { promised, what, entries };
}
