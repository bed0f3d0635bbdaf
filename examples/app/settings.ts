/** What the environment says. */
import { resolve } from "node:path";
import { StartError } from "./start-error.ts";

/** Everything the application is told from outside. */
export interface Settings {
  readonly port: number;
  readonly dataFolder: string;
  /** `SYMBOLON_KEY`; null when the key is to be made and kept in the data folder. */
  readonly key: string | null;
  /** Set in production only: the addresses of the proxies that end https. */
  readonly trustProxy: readonly string[] | null;
}

/**
 * Reads the settings from environment variables.
 *
 * @throws {StartError} when one is missing or wrong.
 */
export function readSettings(env: Readonly<Record<string, string | undefined>>): Settings {
  return {
    port: readPort(env["PORT"] || "3000"),
    dataFolder: resolve(env["SYMBOLON_DATA"] || ".data"),
    key: env["SYMBOLON_KEY"] || null,
    trustProxy: env["NODE_ENV"] === "production" ? readProduction(env) : null,
  };
}

function readPort(text: string): number {
  const port = /^\d{1,5}$/.test(text) ? Number(text) : Number.NaN;
  if (port <= 65_535) return port;
  throw new StartError(`PORT is ${JSON.stringify(text)}: write a number from 0 to 65535, or leave it out for 3000.`);
}

/** Production has no plain http: a proxy ends https, and its key comes from outside, not from a file beside the data. */
function readProduction(env: Readonly<Record<string, string | undefined>>): readonly string[] {
  const proxies = (env["SYMBOLON_TRUST_PROXY"] ?? "").split(",").flatMap((entry) => entry.trim() || []);
  if (env["SYMBOLON_KEY"] && proxies.length > 0) return proxies;
  throw new StartError(
    "NODE_ENV is production: set SYMBOLON_KEY (32 random bytes as base64url) and SYMBOLON_TRUST_PROXY " +
      "(addresses of the proxy that ends https, such as 127.0.0.1), or unset NODE_ENV to try this on your machine.",
  );
}
