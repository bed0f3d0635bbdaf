import type { Target } from "../support/targets.ts";

declare const target: Target;
export const variants: typeof target.variants;
export const prepare: typeof target.prepare;
export const open: typeof target.open;
export const drop: typeof target.drop;
/** What a client is best made with. */
export const settings: Readonly<Record<string, number>>;
