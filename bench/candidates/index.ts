/** All that is compared, by framework. */
import type { Candidate, Framework } from "./candidate.ts";

/** A process that runs one framework loads no other. */
const MODULES: Readonly<Record<Framework, () => Promise<readonly Candidate[]>>> = {
  "node:http": async () => (await import("./node.ts")).NODE,
  Express: async () => (await import("./express.ts")).EXPRESS,
  Fastify: async () => (await import("./fastify.ts")).FASTIFY,
  Koa: async () => (await import("./koa.ts")).KOA,
  Hono: async () => (await import("./hono.ts")).HONO,
};

export async function candidatesOn(framework: Framework): Promise<readonly Candidate[]> {
  return MODULES[framework]();
}

export async function allCandidates(): Promise<readonly Candidate[]> {
  const loaded = await Promise.all(Object.values(MODULES).map((load) => load()));
  return loaded.flat();
}
