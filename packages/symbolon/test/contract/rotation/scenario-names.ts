/** The names of the cases in `vectors/refresh-rotation-scenarios.json`. */
import { readFileSync } from "node:fs";

const file = new URL("../../vectors/refresh-rotation-scenarios.json", import.meta.url);
const { cases } = JSON.parse(readFileSync(file, "utf8")) as { cases: readonly { readonly name: string }[] };

/** Cases that are about something else than tokens that are shown as they are, and why. */
export const NOT_OF_TOKENS: Readonly<Record<string, string>> = {
  "bound-key": "A token that is bound to a key is of no use without a proof by that key; there are none yet.",
};

/** The names that fit, sorted. */
export function namesOf(fits: (name: string) => boolean): string[] {
  return cases
    .map(({ name }) => name)
    .filter(fits)
    .toSorted();
}
