/**
 * What a request changed, and its replay on a newer record (DESIGN 8.1).
 *
 * Changes are found by path in plain objects. Arrays and scalars are replaced whole; the later save wins where two
 * requests changed the same path.
 */
import { isPlainObject } from "./data.ts";

type JsonObject = Record<string, unknown>;

/**
 * One changed path: a new value, or none when it was removed. A new object is listed by what is in it, so that two
 * requests that both add it keep what each put there; only an empty one is listed itself.
 */
export type Change =
  | { readonly path: readonly string[]; readonly value: unknown }
  | { readonly path: readonly string[]; readonly removed: true };

/** Lists what differs between two versions of the data. */
export function findChanges(before: JsonObject, after: JsonObject): Change[] {
  const changes: Change[] = [];
  collect(before, after, [], changes);
  return changes;
}

/**
 * Replays changes on an object, in place: containers that a change does not replace keep their identity, so that
 * references the application holds into them stay good.
 */
export function applyChanges(target: JsonObject, changes: readonly Change[]): void {
  for (const change of changes) {
    const last = change.path.at(-1);
    if (last === undefined) continue;
    if ("removed" in change) {
      const parent = findParent(target, change.path);
      if (parent !== null) delete parent[last];
    } else if (isPlainObject(change.value)) {
      makeObject(target, change.path);
    } else {
      makeObject(target, change.path.slice(0, -1))[last] = change.value;
    }
  }
}

function collect(before: JsonObject, after: JsonObject, path: readonly string[], changes: Change[]): void {
  for (const key of Object.keys(after)) {
    const value = after[key];
    if (value === undefined) continue;
    const previous = Object.hasOwn(before, key) ? before[key] : undefined;
    if (isPlainObject(value) && isPlainObject(previous)) collect(previous, value, [...path, key], changes);
    else if (isPlainObject(value) && Object.keys(value).length > 0) collect({}, value, [...path, key], changes);
    else if (!sameJson(previous, value)) changes.push({ path: [...path, key], value });
  }
  for (const key of Object.keys(before)) {
    const gone = !Object.hasOwn(after, key) || after[key] === undefined;
    if (gone && before[key] !== undefined) changes.push({ path: [...path, key], removed: true });
  }
}

function sameJson(a: unknown, b: unknown): boolean {
  if (a === b) return true;
  return typeof a === "object" && typeof b === "object" && JSON.stringify(a) === JSON.stringify(b);
}

function findParent(target: JsonObject, path: readonly string[]): JsonObject | null {
  let parent = target;
  for (const key of path.slice(0, -1)) {
    const next = Object.hasOwn(parent, key) ? parent[key] : undefined;
    if (!isPlainObject(next)) return null;
    parent = next;
  }
  return parent;
}

/** Finds the object at a path, after making what is missing on the way. */
function makeObject(target: JsonObject, path: readonly string[]): JsonObject {
  let found = target;
  for (const key of path) {
    const next = Object.hasOwn(found, key) ? found[key] : undefined;
    if (isPlainObject(next)) {
      found = next;
    } else {
      const made: JsonObject = {};
      found[key] = made;
      found = made;
    }
  }
  return found;
}
