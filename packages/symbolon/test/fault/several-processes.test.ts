import { type ChildProcessWithoutNullStreams, spawn } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { createSessionManager, generateKey, type SessionManager } from "symbolon";
import { sqliteStore } from "symbolon/stores/sqlite";
import { describe, expect, it, onTestFinished } from "vitest";
import { type SqliteFile, sqliteFile } from "../support/sqlite.ts";

const script = fileURLToPath(new URL("workers/counter.mjs", import.meta.url));

interface Orders {
  readonly path: string;
  readonly key: string;
  readonly token: string;
  /** How often to count, all at once; null for one after the other until it is killed. */
  readonly times: number | null;
}

/** A process that waits for its orders; keys and tokens go through its standard input. */
class Worker {
  readonly #child: ChildProcessWithoutNullStreams;
  readonly #errors: string[] = [];
  readonly exited: Promise<unknown[]>;
  readonly lines: AsyncIterator<string>;

  constructor(orders: Orders) {
    this.#child = spawn(process.execPath, [script]);
    this.exited = once(this.#child, "exit");
    this.lines = createInterface({ input: this.#child.stdout })[Symbol.asyncIterator]();
    this.#child.stderr.on("data", (chunk: Buffer) => this.#errors.push(chunk.toString()));
    this.#child.stdin.on("error", () => undefined);
    this.#child.stdin.write(`${JSON.stringify(orders)}\n`);
    onTestFinished(() => {
      this.kill();
    });
  }

  async ready(): Promise<void> {
    const first = await this.lines.next();
    if (first.value !== "ready") throw new Error(this.#errors.join(""));
  }

  go(): void {
    this.#child.stdin.write("go\n");
  }

  kill(): void {
    this.#child.kill("SIGKILL");
  }

  async finish(): Promise<void> {
    const [code] = await this.exited;
    if (code !== 0) throw new Error(this.#errors.join(""));
  }
}

interface Shared {
  readonly file: SqliteFile;
  readonly key: string;
  readonly token: string;
  readonly sessions: SessionManager;
}

async function share(): Promise<Shared> {
  const file = sqliteFile();
  const key = generateKey();
  const sessions = createSessionManager({ store: sqliteStore(file.connect()), keys: [key], pruneEvery: false });
  const { token } = await sessions.create({ userId: "user-1", data: { n: 0 } });
  return { file, key, token, sessions };
}

/** What a process that starts now reads. */
async function countOf({ file, key, token }: Shared): Promise<unknown> {
  const sessions = createSessionManager({ store: sqliteStore(file.connect()), keys: [key], pruneEvery: false });
  return (await sessions.validate(token))?.data["n"];
}

describe("several processes on one SQLite session", () => {
  it("count to exactly 400 with 200 parallel updates each of two", async () => {
    const shared = await share();
    const orders = { path: shared.file.path, key: shared.key, token: shared.token, times: 200 };
    const workers = [new Worker(orders), new Worker(orders)];
    for (const worker of workers) await worker.ready();
    for (const worker of workers) worker.go();
    for (const worker of workers) await worker.finish();
    expect(await countOf(shared)).toBe(400);
  });

  it("leave a session that opens, with every acknowledged write and at most one more, when one is killed", async () => {
    for (const killAfter of [1, 7, 30]) {
      const shared = await share();
      const worker = new Worker({ path: shared.file.path, key: shared.key, token: shared.token, times: null });
      await worker.ready();
      worker.go();
      let acknowledged = 0;
      for (let line = await worker.lines.next(); !line.done; line = await worker.lines.next()) {
        if (line.value === "counted") acknowledged++;
        if (acknowledged === killAfter) worker.kill();
      }
      await worker.exited;
      expect(acknowledged).toBeGreaterThanOrEqual(killAfter);
      const counted = await countOf(shared);
      expect([acknowledged, acknowledged + 1]).toContain(counted);
      const session = await shared.sessions.validate(shared.token);
      expect(await session?.update((data) => void (data["n"] = -1))).toBe("saved");
      expect(await countOf(shared)).toBe(-1);
    }
  });

  it("see an ending by one at once in the others", async () => {
    const shared = await share();
    const elsewhere = createSessionManager({
      store: sqliteStore(shared.file.connect()),
      keys: [shared.key],
      pruneEvery: false,
    });
    expect(await elsewhere.validate(shared.token)).not.toBeNull();
    await shared.sessions.revokeAll("user-1");
    expect(await elsewhere.inspect(shared.token)).toMatchObject({ ok: false, reason: "ended" });
  });
});
