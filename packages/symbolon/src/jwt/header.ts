/** What the header of a token may say. */
import { findKey, type VerifyingKey, type VerifyingKeys } from "./keys.ts";
import type { JsonObject } from "./strict-json.ts";

/** What a header is refused for. */
export type HeaderRefusal =
  /** A member is missing, or not of its type. */
  | "header-invalid"
  /** It brings a key, or says where to get one. */
  | "key-in-header"
  /** It asks for something that not every reader would do: `crit`, `b64`, `zip`, or a token in a token. */
  | "extension"
  /** Not the algorithm of the key it names. */
  | "wrong-algorithm"
  | "unknown-key"
  /** Another kind of token, or it does not say which. */
  | "wrong-type";

const KEY_MEMBERS = ["jwk", "jku", "x5u", "x5c", "x5t", "x5t#S256"] as const;
const EXTENSIONS = ["crit", "b64", "zip", "cty", "enc"] as const;

/** The key that a header names among ours, or what is wrong with it. Nothing in it decides how that key is used. */
export function judgeHeader(header: JsonObject, keys: VerifyingKeys, typ: string): VerifyingKey | HeaderRefusal {
  const has = (name: string): boolean => Object.hasOwn(header, name);
  if (KEY_MEMBERS.some(has)) return "key-in-header";
  if (EXTENSIONS.some(has)) return "extension";
  const { alg, kid } = header;
  if (typeof alg !== "string" || (kid !== undefined && !isShortText(kid))) return "header-invalid";
  const key = findKey(keys, kid);
  if (key === null) return kid === undefined ? "header-invalid" : "unknown-key";
  if (key.alg !== alg) return "wrong-algorithm";
  return header["typ"] === typ ? key : "wrong-type";
}

function isShortText(value: unknown): boolean {
  return typeof value === "string" && value.length > 0 && value.length <= 128;
}
