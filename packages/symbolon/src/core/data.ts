/**
 * Session data as text and back.
 *
 * Data is what JSON can hold: objects, arrays, text, finite numbers, booleans, null. Anything else (Date, Map, Set,
 * BigInt, typed arrays, class instances, functions, cycles) is refused when it is saved, with the path of the value:
 * a value that came back as something else would be a silent loss (R-101, R-106; docs/decisions/0003).
 */
import { DataInvalidError, DataTooLargeError } from "../errors.ts";

/** Bounds on session data. */
export interface Bounds {
  /** UTF-8 bytes of the data as JSON. */
  readonly bytes: number;
  /** Nesting of objects and arrays; the root is level 1. */
  readonly depth: number;
  /** Keys and array elements in all. */
  readonly keys: number;
}

type JsonObject = Record<string, unknown>;

// Assigning to these changes an object's ancestry instead of its content (CWE-1321).
const FORBIDDEN_KEYS: ReadonlySet<string> = new Set(["__proto__", "constructor", "prototype"]);

/**
 * Encodes data; throws `DataInvalidError` or `DataTooLargeError`, each naming the path or the bound. `known` is what
 * `JSON.stringify` makes of it, where that was asked for already.
 */
export function encodeData(data: unknown, bounds: Bounds, known?: string): string {
  checkData(data, bounds);
  const text = known ?? JSON.stringify(data);
  if (text.length > bounds.bytes || (text.length * 3 > bounds.bytes && Buffer.byteLength(text) > bounds.bytes)) {
    throw new DataTooLargeError(`Session data is over ${bounds.bytes} bytes; see bounds.bytes.`);
  }
  return text;
}

/** Decodes what `encodeData` wrote; null for anything it would not have written. Never throws. */
export function decodeData(text: string, bounds: Bounds): JsonObject | null {
  if (text.length > bounds.bytes) return null;
  try {
    const data: unknown = JSON.parse(text);
    checkData(data, bounds);
    return data;
  } catch {
    return null;
  }
}

/** Whether a value is an object that came from JSON or a literal, not an array and not a class instance. */
export function isPlainObject(value: unknown): value is JsonObject {
  if (typeof value !== "object" || value === null) return false;
  const prototype: unknown = Object.getPrototypeOf(value);
  return prototype === Object.prototype || prototype === null;
}

/** Checks kinds and bounds of values, without calling anything the data could bring along. */
export function checkData(data: unknown, bounds: Bounds): asserts data is JsonObject {
  if (!isPlainObject(data)) throw new DataInvalidError("", "Session data must be a plain object.");
  const walk = new Walk(bounds);
  walk.object(data, 1);
}

/** Walks a value once; the path is only built when something is refused. */
class Walk {
  readonly #bounds: Bounds;
  readonly #path: (string | number)[] = [];
  #keys = 0;

  constructor(bounds: Bounds) {
    this.#bounds = bounds;
  }

  object(value: JsonObject, depth: number): void {
    if (depth > this.#bounds.depth) this.#tooDeep();
    for (const key in value) {
      if (FORBIDDEN_KEYS.has(key)) this.#refuse(key, "is a reserved name");
      this.#child(key, value[key], depth);
    }
  }

  #array(value: readonly unknown[], depth: number): void {
    if (depth > this.#bounds.depth) this.#tooDeep();
    for (let index = 0; index < value.length; index++) {
      if (value[index] === undefined) this.#refuse(index, "is undefined; use null");
      this.#child(index, value[index], depth);
    }
    // As the matches of a regular expression have: JSON would drop them.
    if (Object.keys(value).length > value.length) this.#refuse(null, "is a list with names; store an object");
  }

  #child(key: string | number, value: unknown, depth: number): void {
    if (++this.#keys > this.#bounds.keys) {
      throw new DataTooLargeError(`Session data has more than ${this.#bounds.keys} keys; see bounds.keys.`);
    }
    if (typeof value === "string" || typeof value === "boolean" || value === null || value === undefined) return;
    if (typeof value === "number") {
      if (!Number.isFinite(value)) this.#refuse(key, `is ${value}, which JSON cannot hold`);
      return;
    }
    if (typeof value !== "object") this.#refuse(key, `is a ${typeof value}, which JSON cannot hold`);
    this.#path.push(key);
    if (Array.isArray(value)) this.#array(value, depth + 1);
    else if (isPlainObject(value)) this.object(value, depth + 1);
    else this.#refuse(null, `is a ${nameOf(value)}; store ${SUBSTITUTE[nameOf(value)] ?? "a plain object"} instead`);
    this.#path.pop();
  }

  #refuse(key: string | number | null, why: string): never {
    if (key !== null) this.#path.push(key);
    const path = formatPath(this.#path);
    throw new DataInvalidError(path, `Session data: ${path} ${why}.`);
  }

  #tooDeep(): never {
    throw new DataTooLargeError(`Session data is nested deeper than ${this.#bounds.depth} levels; is it a cycle?`);
  }
}

const SUBSTITUTE: Readonly<Record<string, string>> = {
  Date: "its toISOString() or getTime()",
  Map: "Object.fromEntries(map)",
  Set: "[...set]",
};

function nameOf(value: object): string {
  const prototype = Object.getPrototypeOf(value) as { constructor?: { name?: unknown } } | null;
  const name = prototype?.constructor?.name;
  return typeof name === "string" && /^\w{1,40}$/.test(name) ? name : "class instance";
}

function formatPath(path: readonly (string | number)[]): string {
  let text = "";
  for (const key of path) {
    const isName = typeof key === "string" && /^[A-Za-z_$][\w$]{0,60}$/.test(key);
    text += isName ? `${text && "."}${key}` : `[${JSON.stringify(key).slice(0, 60)}]`;
  }
  return text;
}
