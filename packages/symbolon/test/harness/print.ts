/** A disproof to read: which promise, by which operations, and everything that happened. */
import type { Entry } from "./history.ts";
import type { Disproof } from "./prover.ts";
import { deedOf, storiesOf } from "./stories.ts";

/** Sessions are called A, B, ...; their tokens A0, A1, ... */
class Names {
  readonly #names = new Map<string, string>();

  constructor(entries: readonly Entry[]) {
    const plan = {
      seed: 0,
      settings: { every: false, grace: 0, seal: "split" },
      users: [],
      hasThief: false,
      rounds: [],
    } as const;
    for (const [index, { id, tokens }] of storiesOf({ plan, entries }).entries()) {
      const letter = String.fromCodePoint(65 + (index % 26));
      this.#names.set(id, letter);
      for (const [place, token] of tokens.entries()) this.#names.set(token, `${letter}${place}`);
    }
  }

  of(secret: string): string {
    return this.#names.get(secret) ?? "?";
  }
}

/** Says it in lines; times in ms since the first call. `store` is the name of its variant. */
export function describeDisproof(store: string, { seed, faults, history }: Disproof): string {
  const { entries, plan } = history;
  const names = new Names(entries);
  const inOrder = entries.toSorted((one, other) => one.opening.from - other.opening.from);
  const wrong = new Set(faults.flatMap((fault) => fault.entries));
  const start = inOrder[0]?.opening.from ?? 0;
  const clock = inOrder[0]?.opening.at ?? 0;
  const said = new Set(faults.map(({ promised, what }) => `${promised}: ${what}`));
  const { every, grace, seal } = plan.settings;
  const lines = inOrder.map((entry) => `${wrong.has(entry) ? "! " : "  "}${lineOf(entry, names, start, clock)}`);
  const head = `seed ${seed}, ${entries.length} entries; rotation every ${every}, grace ${grace} ms, seal ${seal}`;
  const again = `Again: npm run prove -- --store "${store}" --seed ${seed}`;
  return [head, ...said, ...lines, again].join("\n");
}

function lineOf(entry: Entry, names: Names, start: number, clock: number): string {
  const { operation, opening, user, presented, session } = entry;
  const ms = (instant: number): string => ((instant - start) / 1000).toFixed(1);
  const deed = deedOf(entry);
  const held = deed.at === opening.at ? "" : ` finished at +${(deed.at - clock) / 1000} s, from ${ms(deed.from)}`;
  return [
    (operation.number < 0 ? "end" : `#${operation.number}`).padEnd(4),
    `+${(opening.at - clock) / 1000} s`.padEnd(6),
    `${ms(opening.from)}–${ms(deed.until)}`.padEnd(14),
    `process ${operation.process}`,
    `user ${user.split(" ").at(-1)}`,
    `client ${operation.client}`,
    `${operation.does}${session === null ? "" : ` ${names.of(session)}`}${presented === null ? "" : ` with ${names.of(presented)}`}`,
    `→ ${answerOf(entry, names)}${held}`,
  ].join("  ");
}

function answerOf(entry: Entry, names: Names): string {
  const { found, refused, outcome, begun, given, isCleared, isGone, saw, wrote, section, look, hasEnded, failure } =
    entry;
  const parts = [
    failure?.split("\n")[0],
    found && `in ${names.of(found)}`,
    refused && `refused: ${refused}`,
    saw && `saw ${JSON.stringify(saw)}`,
    outcome,
    isGone && "then gone",
    wrote && `wrote ${JSON.stringify(wrote)}`,
    begun && `began ${names.of(begun)}`,
    given && `given ${names.of(given)}`,
    isCleared && "cookie cleared",
    hasEnded && "ended it",
    section && `fence ${section.fence}${section.isLost ? ", lost" : ""}`,
    look &&
      `found ${look.found.map((id) => names.of(id)).join("")}, listed ${look.listed.map((id) => names.of(id)).join("")}, counted ${look.counted}`,
  ];
  return parts.filter((part) => part !== undefined && part !== false).join(", ");
}
