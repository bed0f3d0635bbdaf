/** The few things the file store does with files and folders. No symbolic link is followed below the root. */
import { randomBytes } from "node:crypto";
import { chmodSync, constants, lstatSync, mkdirSync, realpathSync, type Stats } from "node:fs";
import {
  chmod,
  type FileHandle,
  mkdir,
  open as openFile,
  readdir,
  realpath,
  rename,
  rmdir,
  unlink,
} from "node:fs/promises";
import { dirname, join, resolve } from "node:path";
import { OptionsError, StoreUnavailableError } from "../../errors.ts";

const FOLDER_MODE = 0o700;
const FILE_MODE = 0o600;
const OTHERS_WRITE = 0o022;

/** Sockets in the root have longer names by so much, and no system takes names of more than 103 bytes for them. */
const MAX_ROOT_BYTES = 74;

/** O_NONBLOCK: opening a pipe that was planted must not wait for a writer. */
const READ = constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK;
const CREATE = constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL | constants.O_NOFOLLOW;
const FOLDER = constants.O_RDONLY | constants.O_DIRECTORY | constants.O_NOFOLLOW;

/** Files this process has open for the store at most: the system lets a process have 1024 of all kinds, often. */
const MAX_OPEN = 64;
let open = 0;
const waiting: (() => void)[] = [];

/**
 * Makes the root if it is missing, and answers its real path.
 *
 * @throws {OptionsError} when it is a symbolic link, no folder, too long, or can be written by others.
 * @throws {StoreUnavailableError} when it cannot be made or looked at.
 */
export function openRoot(root: string): string {
  try {
    const path = resolve(root);
    makeMissingRoot(path);
    insistOnOwnFolder(lstatSync(path));
    const real = realpathSync.native(path);
    if (Buffer.byteLength(real) <= MAX_ROOT_BYTES) return real;
  } catch (error) {
    if (error instanceof OptionsError) throw error;
    throw new StoreUnavailableError("The folder of the file store cannot be opened; see the cause.", { cause: error });
  }
  throw new OptionsError(`fileStore: the real path of \`root\` must have at most ${MAX_ROOT_BYTES} bytes.`);
}

function makeMissingRoot(path: string): void {
  if (lstatSync(path, { throwIfNoEntry: false }) !== undefined) return;
  mkdirSync(path, { recursive: true, mode: FOLDER_MODE });
  // What the umask took away.
  chmodSync(path, FOLDER_MODE);
}

function insistOnOwnFolder(stats: Stats): void {
  if (stats.isSymbolicLink()) throw new OptionsError("fileStore: `root` is a symbolic link; pass the folder itself.");
  if (!stats.isDirectory()) throw new OptionsError("fileStore: `root` is no folder; pass one, or a name that is free.");
  if (process.geteuid === undefined) throw new OptionsError("fileStore: this system has no file modes to rely on.");
  if (stats.uid !== process.geteuid() || (stats.mode & OTHERS_WRITE) !== 0) {
    throw new OptionsError(
      "fileStore: others can write in `root`; make it the property of the user that runs this, with mode 700.",
    );
  }
}

/** The path of a folder under the root; null when it is not there. */
export async function findFolder(root: string, name: string): Promise<string | null> {
  const path = join(root, name);
  try {
    if ((await realpath(path)) === path) return path;
  } catch (error) {
    if (codeOf(error) === "ENOENT") return null;
    throw error;
  }
  throw new TypeError(`There is a symbolic link on the way to ${path}; remove it.`);
}

/** The path of a folder under the root, which is made if it is missing. */
export async function makeFolder(root: string, name: string): Promise<string> {
  const found = await findFolder(root, name);
  if (found !== null) return found;
  const parent = dirname(name);
  if (parent !== ".") await makeFolder(root, parent);
  await makeOneFolder(join(root, name));
  return makeFolder(root, name);
}

/** Makes one folder, unless it exists. */
export async function makeOneFolder(path: string): Promise<void> {
  try {
    await mkdir(path, FOLDER_MODE);
    await chmod(path, FOLDER_MODE);
  } catch (error) {
    if (codeOf(error) !== "EEXIST") throw error;
  }
}

/** The names in a folder, which may be missing, or be removed just now: another process prunes, too. */
export async function namesIn(root: string, name: string): Promise<string[]> {
  const path = await findFolder(root, name);
  if (path === null) return [];
  try {
    return await readdir(path);
  } catch (error) {
    if (codeOf(error) === "ENOENT") return [];
    throw error;
  }
}

/** Makes a file that was not there; when it fails, part of it may be. */
export async function makeFile(path: string, bytes: Uint8Array, sync: boolean): Promise<void> {
  await withFile(path, CREATE, async (file) => {
    // What the umask took away.
    await file.chmod(FILE_MODE);
    await file.writeFile(bytes);
    if (sync) await file.sync();
  });
}

/** What a file holds; null when it is not there, and no bytes when it is something else than a file. */
export async function readWhole(path: string): Promise<Buffer | null> {
  try {
    return await withFile(path, READ, async (file) =>
      (await file.stat()).isFile() ? file.readFile() : Buffer.alloc(0),
    );
  } catch (error) {
    if (codeOf(error) === "ENOENT") return null;
    if (codeOf(error) === "ELOOP" || codeOf(error) === "ENXIO") return Buffer.alloc(0);
    throw error;
  }
}

/** Waits until what was renamed in a folder is on the disk. */
export async function syncFolder(path: string): Promise<void> {
  await withFile(path, FOLDER, (folder) => folder.sync());
}

/** Renames; answers false when there was nothing of the old name. */
export async function moveFile(from: string, to: string): Promise<boolean> {
  return unlessMissing(rename(from, to));
}

/** Removes a file, or the link that stands in its place; answers false when there was none. */
export async function removeFile(path: string): Promise<boolean> {
  return unlessMissing(unlink(path));
}

/** Removes a folder if it is empty. */
export async function removeEmptyFolder(path: string): Promise<void> {
  try {
    await rmdir(path);
  } catch (error) {
    if (codeOf(error) !== "ENOTEMPTY" && codeOf(error) !== "ENOENT") throw error;
  }
}

/** A name that nobody has. */
export function randomName(): string {
  return randomBytes(8).toString("hex");
}

/** `ENOENT` and the like. */
export function codeOf(error: unknown): unknown {
  return error instanceof Error && "code" in error ? error.code : undefined;
}

async function withFile<T>(path: string, flags: number, work: (file: FileHandle) => Promise<T>): Promise<T> {
  if (open >= MAX_OPEN) await new Promise<void>((proceed) => waiting.push(proceed));
  else open++;
  try {
    const file = await openFile(path, flags, FILE_MODE);
    try {
      return await work(file);
    } finally {
      await file.close();
    }
  } finally {
    // Whoever waits takes the place.
    const next = waiting.shift();
    if (next === undefined) open--;
    else next();
  }
}

async function unlessMissing(work: Promise<void>): Promise<boolean> {
  try {
    await work;
    return true;
  } catch (error) {
    if (codeOf(error) === "ENOENT") return false;
    throw error;
  }
}
