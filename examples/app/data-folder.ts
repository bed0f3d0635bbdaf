/** The folder that holds the database and the key. */
import { accessSync, constants, mkdirSync, statSync } from "node:fs";
import { messageOf, StartError } from "./start-error.ts";

/**
 * Makes the folder for this user alone, or checks the one that is there.
 *
 * @throws {StartError} when it cannot be used.
 */
export function prepareDataFolder(path: string): void {
  try {
    mkdirSync(path, { recursive: true, mode: 0o700 });
    accessSync(path, constants.R_OK | constants.W_OK | constants.X_OK);
  } catch (error) {
    const isFile = error instanceof Error && "code" in error && error.code === "EEXIST";
    const reason = isFile ? "it is not a folder" : messageOf(error);
    throw new StartError(
      `The data folder ${path} cannot be used: ${reason}. Set SYMBOLON_DATA to a folder you can write to.`,
    );
  }
  // Whoever can write to the folder can put their own key there. Readers are kept out by the modes of the files.
  if (process.platform !== "win32" && (statSync(path).mode & 0o022) !== 0) {
    throw new StartError(
      `Other users can write to the data folder ${path}: run chmod 700 on it, or set SYMBOLON_DATA to another.`,
    );
  }
}
