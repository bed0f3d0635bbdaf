import type { FileStore } from "symbolon/stores/file";
import type { Target } from "../support/targets.ts";

declare const target: Target<FileStore>;
export const variants: typeof target.variants;
export const prepare: typeof target.prepare;
export const open: typeof target.open;
export const drop: typeof target.drop;
