/** What the environment says. */
import { resolve } from "node:path";
import { StartError } from "./start-error.ts";

/** No user can be allowed more devices than one page lists. */
export const MOST_DEVICES = 100;

type Environment = Readonly<Record<string, string | undefined>>;

/** Everything the application is told from outside. */
export interface Settings {
  readonly port: number;
  readonly dataFolder: string;
  /** `SYMBOLON_KEY`; null when the key is to be made and kept in the data folder. */
  readonly key: string | null;
  /** On how many devices a user may be logged in at once; the next login ends the oldest. */
  readonly devicesPerUser: number;
  /** Null on a developer's machine, where there is plain http. */
  readonly production: Production | null;
}

/** What can only be known where the application is deployed. */
export interface Production {
  /** The addresses of the proxies that end https. */
  readonly trustProxy: readonly string[];
  /** The address in the visitors' browsers, such as `https://app.example.com`; forms of other origins are refused. */
  readonly origin: string;
}

/**
 * Reads the settings from environment variables.
 *
 * @throws {StartError} when one is missing or wrong.
 */
export function readSettings(env: Environment): Settings {
  return {
    port: readNumber("PORT", env["PORT"] || "3000", 0, 65_535),
    dataFolder: resolve(env["SYMBOLON_DATA"] || ".data"),
    key: env["SYMBOLON_KEY"] || null,
    devicesPerUser: readNumber("SYMBOLON_DEVICES", env["SYMBOLON_DEVICES"] || "2", 1, MOST_DEVICES),
    production: env["NODE_ENV"] === "production" ? readProduction(env) : null,
  };
}

function readNumber(name: string, text: string, least: number, most: number): number {
  const number = /^\d{1,5}$/.test(text) ? Number(text) : Number.NaN;
  if (number >= least && number <= most) return number;
  throw new StartError(`${name} is ${JSON.stringify(text)}: write a number from ${least} to ${most}, or leave it out.`);
}

/** Production has no plain http: a proxy ends https, and its key comes from outside, not from a file beside the data. */
function readProduction(env: Environment): Production {
  const trustProxy = (env["SYMBOLON_TRUST_PROXY"] ?? "").split(",").flatMap((entry) => entry.trim() || []);
  const origin = env["SYMBOLON_ORIGIN"] ?? "";
  if (env["SYMBOLON_KEY"] && trustProxy.length > 0 && origin !== "") return { trustProxy, origin: checkOrigin(origin) };
  throw new StartError(
    "NODE_ENV is production: set SYMBOLON_KEY (32 random bytes as base64url), SYMBOLON_TRUST_PROXY (addresses of the " +
      "proxy that ends https, such as 127.0.0.1) and SYMBOLON_ORIGIN (such as https://app.example.com), or unset " +
      "NODE_ENV to try this on your machine.",
  );
}

function checkOrigin(origin: string): string {
  if (URL.canParse(origin) && new URL(origin).origin === origin && origin.startsWith("https:")) return origin;
  throw new StartError(
    `SYMBOLON_ORIGIN is ${JSON.stringify(origin)}: write scheme and host, such as https://app.example.com, and no path.`,
  );
}
