/**
 * `npm test`: everything that has to hold, in order, and the first failure ends it.
 *
 * The last line is always the closing line of the tests, `N passed, N failed, N skipped`, when they ran.
 * A step's command is a script of package.json, so that each can be run alone.
 */
import { spawn } from "node:child_process";
import { dirname } from "node:path";
import { fileURLToPath } from "node:url";

const STEPS = [
  { name: "build, with the types of tests, examples and benchmarks", script: "build" },
  { name: "format", script: "format:check" },
  { name: "lint", script: "lint" },
  { name: "tests, with the checks of the published package", script: "test:run" },
];
const CLOSING_LINE = /^\d+ passed, \d+ failed, \d+ skipped$/m;

const started = performance.now();
let closingLine;
const failure = await firstFailure();
console.log(failure ?? `\nAll ${STEPS.length} steps passed in ${Math.round((performance.now() - started) / 1000)} s.`);
if (closingLine !== undefined) console.log(closingLine);
// Not process.exit: what is still on its way to a pipe would be lost.
process.exitCode = failure === null ? 0 : 1;

/** Runs the steps until one fails; answers the line that says which, or null. */
async function firstFailure() {
  for (const [index, { name, script }] of STEPS.entries()) {
    console.log(`\n[${index + 1}/${STEPS.length}] ${name} (npm run ${script})`);
    const { code, output } = await run(script);
    closingLine = CLOSING_LINE.exec(output)?.[0];
    if (code !== 0) return `\nnpm test failed at step ${index + 1}, ${name}: npm run ${script} ended with ${code}.`;
  }
  return closingLine === undefined ? "\nnpm test failed: the tests printed no closing line." : null;
}

/** Runs a script with its output passed through, and kept to find the closing line. */
function run(script) {
  // A pipe would switch colours off where a person is watching.
  const colour = process.stdout.isTTY && process.env.NO_COLOR === undefined ? { FORCE_COLOR: "1" } : {};
  const child = spawn("npm", ["run", "--silent", script], {
    cwd: dirname(fileURLToPath(import.meta.url)),
    env: { ...process.env, ...colour },
    // npm is a .cmd file on Windows; nothing here comes from outside.
    shell: process.platform === "win32",
    stdio: ["ignore", "pipe", "inherit"],
  });
  let output = "";
  child.stdout.setEncoding("utf8");
  child.stdout.on("data", (text) => {
    process.stdout.write(text);
    output += text;
  });
  return new Promise((resolve) => {
    child.once("error", (error) => resolve({ code: error.message, output }));
    child.once("close", (code, signal) => resolve({ code: code ?? signal, output }));
  });
}
