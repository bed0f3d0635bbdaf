/** The harness of random histories as it is built, because its processes are. */
import { ROOT } from "../package/workspace.ts";

const FOLDER = new URL("packages/symbolon/test/harness/dist/", ROOT);
const proving = (await import(new URL("prover.js", FOLDER).href)) as typeof import("../harness/prover.ts");
const printing = (await import(new URL("print.js", FOLDER).href)) as typeof import("../harness/print.ts");

/** The address of the target whose variants are stores that do something wrong. */
export const PLANTED: string = new URL("planted-target.js", FOLDER).href;
export const planted = (await import(PLANTED)) as typeof import("../harness/planted-target.ts");
export const startProver: typeof proving.Prover.start = (target, where) => proving.Prover.start(target, where);
export const { describeDisproof } = printing;
