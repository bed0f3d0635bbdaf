/** What things are called on disk. */
import { hash } from "node:crypto";
import type { OwnerKey, RecordKey } from "../../core/store.ts";

/** Where a record is. */
export interface RecordPlace {
  /** Records whose routes begin alike share a folder: `<space>/<first 8 bits>`. */
  readonly folder: string;
  readonly file: string;
}

/** A marker: an empty file that says when to look whether a record is garbage. */
export interface Marker extends RecordPlace {
  /** Not later than the record's deadline, and in the same bucket. */
  readonly at: number;
}

/** Markers of 15 minutes share a folder. Wider, and pruning reads more names in vain; narrower, and touches move more markers. */
const BUCKET_MS = 900_000;

/** 256 folders for a space: few enough to walk, and a user's own are soon found among the names in one. */
const FOLDER_DIGITS = 2;

const MARKER = /^(-?\d+)\.([0-9a-f]{40})\.([0-9a-f]{2})([0-9a-f]+)\.([0-9a-f]{40})$/;

/** Any text as a safe name. No two of the texts share one, also where file names have no case. */
export function nameOf(text: string): string {
  return hash("sha256", text).slice(0, 40);
}

/** The place of a record; nothing of the key stands in it as it was passed. */
export function placeOf({ space, route, lookup }: RecordKey): RecordPlace {
  return { folder: folderOf({ space, route }), file: prefixOf(route) + nameOf(lookup) };
}

/** The folder of the records of a route, and of those that share it. */
export function folderOf({ space, route }: Pick<OwnerKey, "space" | "route">): string {
  return `${nameOf(space)}/${hexOf(route).slice(0, FOLDER_DIGITS)}`;
}

/** How the file names of one route begin. */
export function prefixOf(route: number): string {
  return `${hexOf(route)}.`;
}

/** The bucket of an instant. */
export function expiryBucketOf(at: number): number {
  return Math.floor(at / BUCKET_MS);
}

/** The path of a marker, under the root. */
export function markerPath({ folder, file, at }: Marker): string {
  const [space, bucket] = folder.split("/");
  return `expiry/${expiryBucketOf(at)}/${at}.${space}.${bucket}${file.slice(FOLDER_DIGITS)}`;
}

/** Reads the name of a marker; null for any other file's. */
export function parseMarker(name: string): Marker | null {
  const [, at, space, bucket, route, lookup] = MARKER.exec(name) ?? [];
  return at === undefined
    ? null
    : { at: Number(at), folder: `${space}/${bucket}`, file: `${bucket}${route}.${lookup}` };
}

function hexOf(route: number): string {
  return route.toString(16).padStart(6, "0");
}
