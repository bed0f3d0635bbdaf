/**
 * Makes the tables of one storage when it is told to go, and says which versions it applied. Told on standard input:
 * `{ kind, where }`, then `"go"`.
 */
import { createInterface } from "node:readline";

const lines = createInterface({ input: process.stdin })[Symbol.asyncIterator]();
process.stdout.write("ready\n");
const { kind, where } = JSON.parse((await lines.next()).value);
const { open } = await import(`../../targets/${kind}.mjs`);
const { store } = await open(where);
process.stdout.write("prepared\n");
await lines.next();
process.stdout.write(`${JSON.stringify(await store.migrate())}\n`);
process.exit(0);
