import type { MysqlStore } from "symbolon/stores/mysql";
import type { Target } from "../support/targets.ts";

declare const target: Target<MysqlStore>;
export const variants: typeof target.variants;
export const prepare: typeof target.prepare;
export const open: typeof target.open;
export const drop: typeof target.drop;
