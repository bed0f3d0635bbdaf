/** Stores by name: the files of the tests' `targets` folder, which worker processes can open, too. */
import { readdirSync } from "node:fs";
import type { Store } from "symbolon";

export interface Variant {
  /** As `redisStore over ioredis (cluster)`. */
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

/** What a file of the folder exports. */
export interface Target {
  readonly variants: readonly Variant[];
  prepare(variant: Variant, url: string | null): Where | Promise<Where>;
  open(where: Where): Handle | Promise<Handle>;
  drop(where: Where): unknown;
}

/** From `bench/dist/scale`. */
const FOLDER = new URL("../../../packages/symbolon/test/targets/", import.meta.url);

export async function loadTarget(kind: string): Promise<Target> {
  return (await import(new URL(`${kind}.mjs`, FOLDER).href)) as Target;
}

/** The name of the file and what it exports, by the name of a variant. */
export async function findVariant(name: string): Promise<{ kind: string; target: Target; variant: Variant }> {
  const known: string[] = [];
  for (const file of readdirSync(FOLDER).filter((one) => one.endsWith(".mjs"))) {
    const kind = file.slice(0, -".mjs".length);
    const target = await loadTarget(kind);
    const variant = target.variants.find((one) => one.name === name);
    if (variant !== undefined) return { kind, target, variant };
    known.push(...target.variants.map((one) => one.name));
  }
  throw new Error(`There is no store called ${name}; write one of: ${known.join(", ")}.`);
}
