import type { PostgresStore } from "symbolon/stores/postgres";
import type { Target, Variant } from "../support/targets.ts";

export interface PostgresVariant extends Variant {
  readonly client: "pg" | "postgres.js";
  readonly invalidations: boolean;
}

declare const target: Target<PostgresStore, PostgresVariant>;
export const variants: typeof target.variants;
export const prepare: typeof target.prepare;
export const open: typeof target.open;
export const drop: typeof target.drop;
