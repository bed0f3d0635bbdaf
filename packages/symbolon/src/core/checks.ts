/** The checks that several options share, with messages that say what to write instead. */
import { OptionsError } from "../errors.ts";
import type { PageRequest } from "./store.ts";

// Half a character has no UTF-8 form: such ids would all be digested as one and the same.
const LONE_SURROGATE = /\p{Surrogate}/u;

/** Checks an id the application chose: text, not empty, at most 512 characters (R-015). */
export function checkId(value: unknown, name: string): string {
  if (typeof value === "string" && value.length > 0 && value.length <= 512 && !LONE_SURROGATE.test(value)) return value;
  throw new OptionsError(`${name}: must be well-formed text of 1 to 512 characters.`);
}

/** Checks an option that is true or false, false when left out. */
export function checkFlag(value: boolean | undefined, name: string): boolean {
  if (value === undefined || typeof value === "boolean") return value ?? false;
  throw new OptionsError(`${name}: write true or false.`);
}

/** Checks an option that is one of a few words, the first when left out. */
export function oneOf<const T extends string>(value: T | undefined, allowed: readonly [T, ...T[]], name: string): T {
  if (value === undefined) return allowed[0];
  if (allowed.includes(value)) return value;
  throw new OptionsError(`${name}: write one of ${allowed.map((entry) => `'${entry}'`).join(", ")}.`);
}

/** Checks a number within bounds. */
export function wholeNumber(value: number, least: number, most: number, name: string): number {
  if (Number.isSafeInteger(value) && value >= least && value <= most) return value;
  throw new OptionsError(`${name}: write a whole number from ${least} to ${most}.`);
}

/** Refuses misspelt options instead of ignoring them. */
export function refuseUnknown(options: object, names: readonly string[], prefix: string): void {
  if (typeof options !== "object" || options === null)
    throw new OptionsError(`${prefix || "options"}: pass an object.`);
  const unknown = Object.keys(options).find((name) => !names.includes(name));
  if (unknown === undefined) return;
  throw new OptionsError(`${prefix}${unknown}: there is no such option; the options are ${names.join(", ")}.`);
}

/** Checks an option that is a function, if it is there. */
export function checkFunction<F>(value: F, name: string): F {
  if (value === undefined || typeof value === "function") return value;
  throw new OptionsError(`${name}: must be a function.`);
}

/** Checks a short name that the application chose, as of a namespace, a step or a purpose. */
export function checkName(value: unknown, name: string): string {
  if (typeof value === "string" && /^[A-Za-z0-9._-]{1,64}$/.test(value)) return value;
  throw new OptionsError(`${name}: use 1 to 64 letters, digits, '.', '_' or '-'.`);
}

/** Checks which page of a list is asked for: 50 entries at a time unless told, at most 1000. */
export function checkPage({ cursor = null, limit = 50 }: Partial<PageRequest>): PageRequest {
  if (cursor === null || (typeof cursor === "string" && cursor.length <= 1024)) {
    return { cursor, limit: wholeNumber(limit, 1, 1000, "list.limit") };
  }
  throw new OptionsError("list.cursor: not a cursor.");
}
