/** The programs that come with a server, to ask it what no store tells. */
import { execFile } from "node:child_process";

/** Runs one to its end; answers what it printed. */
export async function runProgram(program: string, args: readonly string[]): Promise<string> {
  return new Promise((resolve, reject) => {
    execFile(program, args, { maxBuffer: 2 ** 26 }, (error, stdout) => {
      if (error === null) resolve(stdout.trim());
      else reject(error);
    });
  });
}
