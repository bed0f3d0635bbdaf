/** Stores by name: the modules of `test/targets`, which every process can open. */
import { readdirSync } from "node:fs";
import type { Store } from "symbolon";

export interface Variant {
  /** As `redisStore over ioredis (Cluster)`. */
  readonly name: string;
  /** The server it needs; null for none. */
  readonly server: string | null;
}

/** Where one storage is, as plain JSON. */
export type Where = Readonly<Record<string, unknown>>;

export interface Handle {
  readonly store: Store;
  close(): unknown;
}

/** What such a module exports. */
export interface Target {
  readonly variants: readonly Variant[];
  prepare(variant: Variant, url: string | null): Where | Promise<Where>;
  open(where: Where): Handle | Promise<Handle>;
  drop(where: Where): unknown;
}

/** From `test/harness/dist`. */
const FOLDER = new URL("../../targets/", import.meta.url);

export async function loadTarget(address: string): Promise<Target> {
  return (await import(address)) as Target;
}

/** The module of a variant, by the name of that. */
export async function findVariant(name: string): Promise<{ address: string; target: Target; variant: Variant }> {
  const known: string[] = [];
  for (const file of readdirSync(FOLDER).filter((one) => one.endsWith(".mjs"))) {
    const address = new URL(file, FOLDER).href;
    const target = await loadTarget(address);
    const variant = target.variants.find((one) => one.name === name);
    if (variant !== undefined) return { address, target, variant };
    known.push(...target.variants.map((one) => one.name));
  }
  throw new Error(`There is no store called ${name}; write one of: ${known.join(", ")}.`);
}
