/** The key of this installation, made once and kept in a file that only its owner can read. */
import { closeSync, fsyncSync, linkSync, openSync, readFileSync, rmSync, statSync, writeSync } from "node:fs";
import { randomUUID } from "node:crypto";
import { generateKey } from "symbolon";
import { messageOf, StartError } from "./start-error.ts";

/**
 * Reads the key, after making it where there is none.
 *
 * @throws {StartError} when the file cannot be read or written, holds no key, or can be read by others.
 */
export function readOrCreateKey(path: string): string {
  try {
    return readKey(path) ?? createKey(path);
  } catch (error) {
    if (error instanceof StartError) throw error;
    throw new StartError(`The key file ${path} cannot be used: ${messageOf(error)}.`);
  }
}

function readKey(path: string): string | null {
  const stats = statSync(path, { throwIfNoEntry: false });
  if (stats === undefined) return null;
  if (process.platform !== "win32" && (stats.mode & 0o077) !== 0) {
    throw new StartError(`Other users can read the key file ${path}: run chmod 600 on it.`);
  }
  const key = readFileSync(path, "utf8").trim();
  if (/^[A-Za-z0-9_-]{43}$/.test(key)) return key;
  throw new StartError(
    `The key file ${path} is damaged: restore it from a copy, or delete it to have a new key made, which ends all sessions.`,
  );
}

/** Linking the finished file into its place is atomic, and leaves a key alone that another process put there first. */
function createKey(path: string): string {
  const draft = `${path}.${randomUUID()}`;
  const file = openSync(draft, "wx", 0o600);
  try {
    writeSync(file, `${generateKey()}\n`);
    fsyncSync(file);
    linkSync(draft, path);
  } catch (error) {
    if (!(error instanceof Error && "code" in error && error.code === "EEXIST")) throw error;
  } finally {
    closeSync(file);
    rmSync(draft, { force: true });
  }
  const key = readKey(path);
  if (key !== null) return key;
  throw new StartError(`The key file ${path} was deleted while it was made: start again.`);
}
