/**
 * Who may hold a lock, and whether it still lives.
 *
 * A holder listens on a Unix socket, and whoever doubts that it lives tries to connect. The kernel refuses that from
 * the moment in which the holder has ended, however it ended, and never while it is merely stopped or slow. So no time
 * is measured, and no process id can be mistaken for an older one; it holds between threads and containers, too.
 */
import { once } from "node:events";
import { connect, createServer, type Server } from "node:net";
import { join } from "node:path";
import { chmod, rename } from "node:fs/promises";
import { codeOf, makeFolder, randomName, removeFile } from "./file-system.ts";

/** One handle of the store, as others see it. */
export interface FileHolder {
  /** Its name; it lives from the first call on. */
  id(): Promise<string>;
  /** Whether another holder lives. When that cannot be found out, it does. */
  isAlive(id: string): Promise<boolean>;
  /** Ends it: its locks are free to others. */
  close(): Promise<void>;
}

/** The folder of the sockets. */
export const HOLDERS = "holders";

/** Makes a holder that does not live yet. */
export function fileHolder(root: string): FileHolder {
  let begun: Promise<{ readonly id: string; readonly server: Server }> | null = null;

  async function begin(): Promise<{ readonly id: string; readonly server: Server }> {
    const folder = await makeFolder(root, HOLDERS);
    const id = randomName();
    const unfinished = join(folder, `new.${id}`);
    // Exclusive: in a cluster, the socket would else be the primary's, and outlive the worker.
    const server = createServer((socket) => socket.destroy()).listen({ path: unfinished, exclusive: true });
    server.unref();
    await once(server, "listening");
    // What goes wrong on one connection is nothing to this process.
    server.on("error", () => {});
    await chmod(unfinished, 0o600);
    // By its name from the moment on in which it answers: one that was found dead before fails here.
    await rename(unfinished, join(folder, id));
    return { id, server };
  }

  return {
    async id() {
      begun ??= begin();
      try {
        return (await begun).id;
      } catch (error) {
        begun = null;
        throw error;
      }
    },

    isAlive: (id) =>
      new Promise((resolve) => {
        const socket = connect(join(root, HOLDERS, id));
        const answer = (alive: boolean): void => {
          socket.destroy();
          resolve(alive);
        };
        socket.on("connect", () => answer(true));
        socket.on("error", (error) => answer(!["ECONNREFUSED", "ENOENT"].includes(String(codeOf(error)))));
      }),

    async close() {
      const opened = await begun?.catch(() => null);
      begun = null;
      if (!opened) return;
      await new Promise((resolve) => opened.server.close(resolve));
      await removeFile(join(root, HOLDERS, opened.id));
    },
  };
}
