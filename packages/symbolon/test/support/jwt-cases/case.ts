/** What a case of a hostile token is made of. */
import type { JwtRefusal } from "symbolon/jwt";
import type { ForgedAlgorithm, ForgeKey, Spelling } from "../jwt-forge.ts";

export type Members = Readonly<Record<string, unknown>>;

/** What cases are forged with: keys that are taken, and what a genuine token says. */
export interface Stage {
  /** The key that genuine tokens are signed with. */
  readonly key: ForgeKey;
  /** Another key in force, of another algorithm. */
  readonly other: ForgeKey;
  readonly header: Members;
  readonly claims: Members & { readonly iat: number; readonly exp: number };
  /** A genuine token. */
  readonly token: string;
  /** Now, in seconds. */
  readonly now: number;
  /** For how many seconds an expired token is taken still. */
  readonly behind: number;
  /** Where somebody waits for a connection that nobody may make. */
  readonly trap: string;
  /** A token signed by the right key, with members changed; undefined leaves one out. */
  readonly signed: (header?: Members, claims?: Members) => string;
  /** A token signed by the right key over parts spelt as they are; null for the genuine part. */
  readonly spelt: (header: Spelling | null, claims: Spelling | null) => string;
}

/** A token that is refused, for one reason. */
export interface HostileCase {
  readonly name: string;
  /** The requirement that it breaks. */
  readonly rule: string;
  readonly reason: JwtRefusal;
  /** The reason of a verifier, where that is another: null when it takes the token. */
  readonly verifier?: JwtRefusal | null;
  /** The algorithms of the genuine key; all unless told. */
  readonly algs?: readonly ForgedAlgorithm[];
  /** Whether the signature has to be looked at first; as the reason says, unless told. */
  readonly isLate?: boolean;
  readonly build: (stage: Stage) => unknown;
}

/** A token just inside the bounds, which is taken. */
export type GenuineCase = Pick<HostileCase, "name" | "rule" | "algs" | "build">;

const LATE: readonly JwtRefusal[] = [
  "bad-signature",
  "wrong-issuer",
  "wrong-audience",
  "expired",
  "not-yet-valid",
  "too-long-lived",
];

/** Whether a case is refused only after its signature was looked at: all others never reach a library. */
export function isLate(reason: JwtRefusal, { isLate: told }: Pick<HostileCase, "isLate">): boolean {
  return LATE.includes(reason) || told === true;
}

/** Whether a case is about tokens of an algorithm. */
export function isFor({ algs }: GenuineCase, alg: ForgedAlgorithm): boolean {
  return algs?.includes(alg) ?? true;
}

/** Cases of one requirement and one reason, from their names and what builds them. */
export function casesOf(
  rule: string,
  reason: JwtRefusal,
  builders: Readonly<Record<string, HostileCase["build"]>>,
  more: Partial<HostileCase> = {},
): HostileCase[] {
  return Object.entries(builders).map(([name, build]) => ({ name, rule, reason, build, ...more }));
}

/** Cases from values that have to be shown in their name. */
export function casesOfValues(
  rule: string,
  reason: JwtRefusal,
  what: string,
  values: readonly unknown[],
  build: (stage: Stage, value: never) => unknown,
): HostileCase[] {
  return values.map((value) => ({
    name: `${what} ${shown(value)}`,
    rule,
    reason,
    build: (stage) => build(stage, value as never),
  }));
}

function shown(value: unknown): string {
  if (value === undefined) return "missing";
  const text = JSON.stringify(value);
  return text.length > 50 ? `${text.slice(0, 50)}… of ${text.length}` : text;
}
