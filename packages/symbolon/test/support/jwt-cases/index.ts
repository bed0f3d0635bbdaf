/** The hostile tokens of that one key's forger can make, and the genuine ones beside them. */
import type { HostileCase } from "./case.ts";
import { CLAIMS_CASES } from "./claims.ts";
import { HEADER_CASES } from "./header.ts";
import { JSON_CASES } from "./json.ts";
import { SHAPE_CASES } from "./shape.ts";
import { SIGNATURE_CASES } from "./signature.ts";

export { type HostileCase, isFor, isLate, type Stage } from "./case.ts";
export { GENUINE_CASES } from "./genuine.ts";

export const HOSTILE_CASES: readonly HostileCase[] = [
  ...SHAPE_CASES,
  ...HEADER_CASES,
  ...JSON_CASES,
  ...CLAIMS_CASES,
  ...SIGNATURE_CASES,
];
