import type { SqliteStore } from "symbolon/stores/sqlite";
import type { Target } from "../support/targets.ts";

declare const target: Target<SqliteStore>;
export const variants: typeof target.variants;
export const prepare: typeof target.prepare;
export const open: typeof target.open;
export const drop: typeof target.drop;
