/** Debian's packages of the servers. */
import { execFile } from "node:child_process";
import { existsSync } from "node:fs";
import { promisify } from "node:util";

// Two processes take turns: apt-get gives up where another one is fetching its lists. The lock is on a folder that is
// there anyway, and is apt's own in no other way.
const LOCK = "/var/lib/apt/lists";
const INSTALL = 'apt-get -q update && apt-get -q install -y --no-install-recommends "$@"';

/** Installs packages; answers why they could not be installed, or null. Root on Debian alone can. */
export async function installPackages(packages: readonly string[]): Promise<string | null> {
  if (packages.length === 0) return null;
  if (!existsSync("/usr/bin/apt-get")) return "there is no apt-get";
  if (process.getuid?.() !== 0) return "only root can install it";
  console.error(`Installing servers: apt-get install ${packages.join(" ")}`);
  try {
    await promisify(execFile)("flock", [LOCK, "sh", "-c", INSTALL, "sh", ...packages], {
      env: { ...process.env, DEBIAN_FRONTEND: "noninteractive" },
      maxBuffer: 64 * 1024 * 1024,
    });
    return null;
  } catch (error) {
    return `apt-get failed: ${String(error).trim().split("\n").at(-1)}`;
  }
}
