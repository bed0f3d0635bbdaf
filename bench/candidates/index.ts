/** All that is compared, by framework. */
import { type Candidate, nameOf } from "./candidate.ts";
import { EXPRESS } from "./express.ts";
import { FASTIFY } from "./fastify.ts";
import { HONO } from "./hono.ts";
import { KOA } from "./koa.ts";
import { NODE } from "./node.ts";

export const CANDIDATES: readonly Candidate[] = [...NODE, ...EXPRESS, ...FASTIFY, ...KOA, ...HONO];

export function findCandidate(name: string): Candidate {
  const found = CANDIDATES.find((candidate) => nameOf(candidate) === name);
  if (found === undefined) throw new Error(`There is no candidate called ${name}.`);
  return found;
}
