/** What must not be found in logs, and the ways in which it may be spelled there. */
import { inspect } from "node:util";
import { expect } from "vitest";

/** All the ways in which something ends up in a log. */
export function shown(value: unknown): string {
  const options = { depth: Infinity, showHidden: true, getters: false, showProxy: true } as const;
  const parts = [inspect(value, options), inspect(value), String(value)];
  if (value instanceof Error) parts.push(value.stack ?? "", value.message, inspect(value.cause, options));
  try {
    parts.push(JSON.stringify(value, (_, held: unknown) => (typeof held === "bigint" ? String(held) : held)) ?? "");
  } catch {
    // What cannot be serialised is not logged that way.
  }
  return parts.join("\n");
}

/** Where the secret is in the bytes of a token; the public handle before it may be shown. */
const SECRET = [21, 53] as const;

/** The ways in which a secret may be spelled. */
export function spellings(secret: string): string[] {
  const isToken = /^[spok]1_/.test(secret);
  const bytes = Buffer.from(secret.replace(/^[spokx]1_/, ""), "base64url");
  const hidden = isToken ? bytes.subarray(...SECRET) : bytes;
  return [secret.slice(0, 20), secret.slice(-20), hidden.toString("hex", 0, 10), hidden.toString("base64", 0, 12)];
}

/** Nothing of the secrets is in a text. */
export function expectSilent(text: string, secrets: readonly string[]): void {
  for (const secret of secrets) for (const spelling of spellings(secret)) expect(text).not.toContain(spelling);
}
