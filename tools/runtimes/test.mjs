/**
 * `npm run test:runtimes`: the suites that need no server, on other releases of Node than the one that runs this.
 *
 * The binaries are npm packages for Linux on x64, installed into this folder. Arguments are files to run, as Vitest takes
 * them; by default the framework contract and what sessions do.
 */
import { spawnSync } from "node:child_process";
import { existsSync } from "node:fs";
import { fileURLToPath } from "node:url";

const here = (path) => fileURLToPath(new URL(path, import.meta.url));
const files = process.argv.slice(2);
const suites = files.length === 0 ? ["contract/frameworks", "behaviour", "unit"] : files;
const environment = { ...process.env, SYMBOLON_SERVERS: "off" };

if (process.platform !== "linux" || process.arch !== "x64") {
  console.error("The binaries are for Linux on x64.");
  process.exit(1);
}
if (!existsSync(here("node_modules"))) run("npm", ["ci", "--ignore-scripts"], here("."));
for (const runtime of ["node22", "node24"]) {
  const node = here(`node_modules/${runtime}/bin/node`);
  run(node, ["--version"], here("."));
  run(node, [here("../../node_modules/vitest/vitest.mjs"), "run", ...suites], here("../.."));
}

function run(command, args, cwd) {
  const { status } = spawnSync(command, args, { cwd, env: environment, stdio: "inherit" });
  if (status !== 0) process.exit(status ?? 1);
}
