/** The example application as a child process. */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { createServer } from "node:net";
import { fileURLToPath } from "node:url";

const MAIN = fileURLToPath(new URL("../../../../examples/dist/app/main.js", import.meta.url));

/** Environment variables the application is given; it inherits none but PATH. */
export type AppEnvironment = Readonly<Record<string, string>>;

/** What is left of a process that has ended. */
export interface EndedProcess {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** A started application. */
export interface RunningApp {
  readonly url: string;
  /** Sends the signal and waits for the end. */
  stop(signal?: NodeJS.Signals): Promise<EndedProcess>;
}

/**
 * Starts the application as npm does, below a shell; ends the shell as soon as the application has printed its address,
 * and answers what it printed until its own end.
 */
export async function endShellOf(env: AppEnvironment): Promise<string> {
  const shell = spawn("sh", ["-c", `"${process.execPath}" "${MAIN}"; true`], {
    env: { PATH: process.env["PATH"], npm_lifecycle_event: "start", ...env },
    stdio: ["ignore", "pipe", "ignore"],
  });
  let stdout = "";
  shell.stdout.setEncoding("utf8").on("data", (text: string) => {
    if (!stdout.includes("address") && (stdout + text).includes("address")) shell.kill("SIGTERM");
    stdout += text;
  });
  // The pipe is closed once the application, too, has let go of it.
  await once(shell.stdout, "close");
  return stdout;
}

/** Runs the application where it is expected to end by itself. */
export async function runApp(env: AppEnvironment): Promise<EndedProcess> {
  const { ended, child } = launch(env);
  const timer = setTimeout(() => child.kill("SIGKILL"), 20_000);
  try {
    return await ended;
  } finally {
    clearTimeout(timer);
  }
}

/** Starts the application and waits until it has printed its address. */
export async function startApp(env: AppEnvironment): Promise<RunningApp> {
  const { child, ended, printed } = launch(env);
  const url = await Promise.race([
    printed(/address +(http:\S+)/),
    ended.then(({ code, stderr }) => {
      throw new Error(`The application ended with ${code} instead of starting: ${stderr}`);
    }),
  ]);
  return {
    url,
    stop(signal = "SIGTERM") {
      child.kill(signal);
      return ended;
    },
  };
}

/** A port that is free now, below the range that outgoing connections take theirs from. */
export async function freePort(): Promise<number> {
  for (;;) {
    const port = 17_000 + Math.floor(Math.random() * 15_000);
    const server = createServer();
    const isFree = await new Promise<boolean>((resolve) => {
      server.once("error", () => resolve(false));
      server.listen(port, "127.0.0.1", () => server.close(() => resolve(true)));
    });
    if (isFree) return port;
  }
}

interface Launched {
  readonly child: ChildProcess;
  readonly ended: Promise<EndedProcess>;
  /** The first group of the pattern, once it stands in what was printed. */
  readonly printed: (pattern: RegExp) => Promise<string>;
}

function launch(env: AppEnvironment): Launched {
  const child = spawn(process.execPath, [MAIN], { env: { PATH: process.env["PATH"], ...env } });
  let stdout = "";
  let stderr = "";
  child.stdout.setEncoding("utf8").on("data", (text: string) => (stdout += text));
  child.stderr.setEncoding("utf8").on("data", (text: string) => (stderr += text));
  const ended = once(child, "close").then(([code]) => ({ code: code as number | null, stdout, stderr }));
  const printed = (pattern: RegExp) =>
    new Promise<string>((resolve) => {
      child.stdout.on("data", () => {
        const found = pattern.exec(stdout)?.[1];
        if (found !== undefined) resolve(found);
      });
    });
  return { child, ended, printed };
}
