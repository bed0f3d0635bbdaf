/** The real servers that the tests were given. */
import type { ServerUrls } from "symbolon-servers";
import { inject, it } from "vitest";

const { urls, missing } = inject("servers");

/** Where each server is; null where there is none. Tests that need one use `needsServer`. */
export const serverUrls: ServerUrls = urls;

/**
 * Registers tests that need a server. Where it is missing one test stands for them: skipped, with what to install or
 * set in its name; failed where the environment variable `CI` is `true`.
 */
export function needsServer(name: keyof ServerUrls, register: (url: string) => void): void {
  const url = urls[name];
  if (url !== null) return register(url);
  const advice = missing.find((line) => line.startsWith(`${name}: `)) ?? `${name}: missing`;
  it.skipIf(process.env["CI"] !== "true")(advice, () => {
    throw new Error(`These tests need a server, and CI is true: ${advice}.`);
  });
}
