/** Starts and stops the example application. */
import { once } from "node:events";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { isSymbolonError } from "symbolon";
import { sqliteStore } from "symbolon/stores/sqlite";
import { createApp } from "./app.ts";
import { openAudit } from "./audit.ts";
import { prepareDataFolder } from "./data-folder.ts";
import { DatabaseFile } from "./database-file.ts";
import { readOrCreateKey } from "./key-file.ts";
import { createSessions } from "./sessions.ts";
import { readSettings, type Settings } from "./settings.ts";
import { messageOf, StartError } from "./start-error.ts";
import { Users } from "./users.ts";

const HOST = "127.0.0.1";
/** How long requests in flight may take to finish once the application is told to stop. */
const GRACE_MS = 2000;
const PARENT_CHECK_MS = 200;

try {
  await start(readSettings(process.env));
} catch (error) {
  if (!(error instanceof StartError) && !isSymbolonError(error)) throw error;
  const subject = isSymbolonError(error) && error.code === "ERR_KEY_INVALID" ? "SYMBOLON_KEY is refused: " : "";
  console.error(`Cannot start: ${subject}${error.message}`);
  process.exitCode = 1;
}

async function start(settings: Settings): Promise<void> {
  const { dataFolder, production, devicesPerUser } = settings;
  prepareDataFolder(dataFolder);
  const key = settings.key ?? readOrCreateKey(join(dataFolder, "key"));
  const server = createServer();
  // Before the database is opened: of two starts by mistake, the second touches nothing.
  await listen(server, settings.port);
  const host = `${HOST}:${(server.address() as AddressInfo).port}`;
  const database = new DatabaseFile(join(dataFolder, "sessions.db"));
  try {
    const store = database.connect((client) => sqliteStore(client));
    const users = database.connect((client) => new Users(client));
    const sessions = createSessions(store, key, production?.origin ?? `http://${host}`, settings);
    const audit = openAudit(join(dataFolder, "audit.ndjson"), sessions);
    server.on("request", createApp({ sessions, users, audit, devicesPerUser }, production === null ? host : null));
    stopOnSignals(server, async () => {
      await sessions.close();
      await audit.close();
      database.close();
    });
    console.log(`Symbolon example application
  sessions  ${database.path} (SQLite by ${database.clientName})
  key       ${settings.key === null ? join(dataFolder, "key") : "from SYMBOLON_KEY"}
  address   http://${host}
  stop      Ctrl+C; sessions are kept`);
  } catch (error) {
    server.close();
    database.close();
    throw error;
  }
}

async function listen(server: Server, port: number): Promise<void> {
  server.listen(port, HOST);
  try {
    await once(server, "listening");
  } catch (error) {
    throw new StartError(portProblem(error as NodeJS.ErrnoException, port));
  }
}

function portProblem(error: NodeJS.ErrnoException, port: number): string {
  if (error.code === "EADDRINUSE") {
    return `Port ${port} is in use by another program: stop that, or choose another port, as in PORT=3001 npm start.`;
  }
  if (error.code === "EACCES") return `Port ${port} needs rights you do not have: choose one above 1023 with PORT.`;
  return `Port ${port} of ${HOST} cannot be used: ${messageOf(error)}.`;
}

/** Stops accepting, lets requests finish, and closes the database last. A second signal changes nothing. */
function stopOnSignals(server: Server, close: () => Promise<void>): void {
  let isStopping = false;
  const stop = (reason: string): void => {
    if (isStopping) return;
    isStopping = true;
    console.log(`${reason}: stopping`);
    server.close(() => {
      close().then(
        () => console.log("Stopped."),
        (error: unknown) => {
          console.error(error);
          process.exitCode = 1;
        },
      );
    });
    // Browsers keep unused connections open, and those would hold the server up.
    setTimeout(() => server.closeAllConnections(), GRACE_MS).unref();
  };
  process.on("SIGINT", stop);
  process.on("SIGTERM", stop);
  if (process.env["npm_lifecycle_event"] !== undefined) whenOrphaned(() => stop("npm has ended"));
}

/** npm hands SIGTERM to a shell that does not pass it on: the shell's end is all that arrives here. */
function whenOrphaned(then: () => void): void {
  const parent = process.ppid;
  setInterval(() => {
    if (process.ppid !== parent) then();
  }, PARENT_CHECK_MS).unref();
}
