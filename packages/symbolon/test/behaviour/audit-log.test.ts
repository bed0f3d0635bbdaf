import { once } from "node:events";
import { type ChildProcessWithoutNullStreams, spawn } from "node:child_process";
import {
  chmodSync,
  existsSync,
  mkdtempSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  truncateSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { Writable } from "node:stream";
import { fileURLToPath, pathToFileURL } from "node:url";
import { createSessionManager, generateKey, type SessionManager, StoreUnavailableError } from "symbolon";
import {
  type AuditEntry,
  auditLog,
  type AuditSink,
  type NdjsonSink,
  ndjsonSink,
  type NdjsonSinkOptions,
  type WritableLike,
} from "symbolon/auth/audit-log";
import { memoryStore } from "symbolon/stores/memory";
import { faultyStore, manualClock } from "symbolon/testing";
import { describe, expect, it, onTestFinished } from "vitest";

const START = Date.UTC(2026, 0, 1);

function newPath(): string {
  const folder = mkdtempSync(join(tmpdir(), "symbolon-audit-"));
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }));
  return join(folder, "audit.ndjson");
}

/** The entries of a log; every line of it has to be one. */
function read(path: string): AuditEntry[] {
  const text = readFileSync(path, "utf8");
  expect(text === "" || text.endsWith("\n")).toBe(true);
  const lines = text.split("\n").slice(0, -1);
  return lines.map((line) => JSON.parse(line) as AuditEntry);
}

function entry(number: number): AuditEntry {
  return { type: "test", time: new Date(START + number).toISOString(), at: START + number, number };
}

function numbers(entries: readonly AuditEntry[]): unknown[] {
  return entries.map(({ type, number, count }) => (type === "audit-lost" ? `${count as number} lost` : number));
}

/** A manager on a store that can be broken, and a file with all its events. */
function world(options: NdjsonSinkOptions = {}) {
  const path = newPath();
  const faulty = faultyStore(memoryStore());
  const clock = manualClock(START);
  const keys = [generateKey()];
  const sessions = createSessionManager({ store: faulty.store, keys, clock, pruneEvery: false });
  const sink = ndjsonSink(path, options);
  const stop = auditLog(sessions, sink);
  onTestFinished(() => sessions.close());
  return { path, faulty, clock, keys, sessions, sink, stop };
}

/** Warnings of the audit log from here on. */
function listenToWarnings(): { readonly warnings: string[]; readonly settle: () => Promise<void> } {
  const warnings: string[] = [];
  const listener = (warning: Error): void => {
    if (warning.name === "SymbolonWarning" && warning.message.includes("audit log")) warnings.push(warning.message);
  };
  process.on("warning", listener);
  onTestFinished(() => void process.off("warning", listener));
  return { warnings, settle: () => new Promise((resolve) => setImmediate(resolve)) };
}

/** A stream whose writes wait until they are answered. */
class Valve implements WritableLike {
  readonly lines: string[] = [];
  readonly #answers: ((error?: Error | null) => void)[] = [];

  write(line: string, written: (error?: Error | null) => void): void {
    this.lines.push(line);
    this.#answers.push(written);
  }

  async answer(error: Error | null = null): Promise<void> {
    await new Promise((resolve) => setImmediate(resolve));
    this.#answers.shift()?.(error);
    await new Promise((resolve) => setImmediate(resolve));
  }

  entries(): AuditEntry[] {
    return this.lines.map((line) => JSON.parse(line) as AuditEntry);
  }
}

/** What the log makes of events that no manager tells. */
function entriesOf(...events: object[]): AuditEntry[] {
  const entries: AuditEntry[] = [];
  const sink: AuditSink = { write: (written) => void entries.push(written), close: async () => undefined };
  const on = (_type: string, listener: (event: never) => void): (() => void) => {
    for (const event of events) listener(event as never);
    return () => undefined;
  };
  auditLog({ on }, sink);
  return entries;
}

describe("the audit log", () => {
  it("has one line for each event, in order, with its own facts and its time", async () => {
    const { path, clock, sessions, sink } = world();
    const heard: object[] = [];
    sessions.on("*", (event) => heard.push(event));
    const { id, token } = await sessions.create({ userId: "user-1", device: { name: "Firefox on Linux" } });
    clock.advance(1500);
    await sessions.refresh(token);
    await sessions.revoke("user-1", id, "stolen");
    await sessions.revokeAll("user-1");
    await sink.close();
    const entries = read(path);
    expect(entries.map(({ type }) => type)).toEqual(["created", "login", "rotated", "revoked", "revoked-many"]);
    expect(entries).toEqual(
      heard.map((event) => ({ ...event, time: new Date((event as AuditEntry).at).toISOString() })),
    );
    expect(entries[1]).toEqual({
      type: "login",
      time: "2026-01-01T00:00:00.000Z",
      at: START,
      id,
      userId: "user-1",
      tenant: null,
      remember: false,
      actor: null,
      device: { name: "Firefox on Linux" },
      replaced: null,
    });
    expect(entries[3]).toMatchObject({ time: "2026-01-01T00:00:01.500Z", reason: "stolen" });
    expect(readFileSync(path, "utf8")).toMatch(
      /^\{"type":"created","time":"2026-01-01T00:00:00.000Z","at":1767225600000,/,
    );
  });

  it("keeps a hostile user agent and a hostile user on one harmless line each, and their text as it was", async () => {
    const { path, sessions, sink } = world();
    const separators = "\r\n\n\u0085\u2028\u2029\u000b\u000c";
    const escapes = "\u001b[2J\u001b]0;title\u0007\u009b31m\u007f\u0000\u0008";
    const directions = "\u202egnp.exe\u2066\u2069\u200f\ufeff\u{e0041}";
    const hostile = `Mozilla"}${separators}{"type":"login"}${escapes}${directions}`;
    await sessions.create({ userId: hostile, device: { userAgent: hostile } });
    await sessions.revokeAll(hostile);
    await sink.close();
    const entries = read(path);
    expect(entries.map(({ type }) => type)).toEqual(["created", "login", "revoked-many"]);
    expect(entries[1]).toMatchObject({ userId: hostile, device: { userAgent: hostile } });
    // oxlint-disable-next-line no-control-regex
    expect(readFileSync(path, "utf8")).not.toMatch(/[^\n\x20-\x7e]/);
  });

  it("holds no token, no key and no data, and of errors name, code and message alone", async () => {
    const { path, faulty, keys, sessions, sink } = world();
    const [data, cause] = ["the-data-of-the-session", "the-message-of-the-client"];
    const { token } = await sessions.create({ userId: "user-1", data: { name: data }, stamp: "the-stamp-of-the-user" });
    await (await sessions.validate(token))?.update((held) => void (held["more"] = data));
    const next = await sessions.refresh(token);
    faulty.before(() => Promise.reject(new Error(cause)));
    await expect(sessions.validate(next?.token ?? "")).rejects.toThrow(StoreUnavailableError);
    faulty.heal();
    sessions.setKeys([generateKey(), ...keys]);
    await sessions.revokeEverything();
    await sink.close();
    const text = readFileSync(path, "utf8");
    for (const secret of [token, next?.token ?? "", ...keys, data, cause, "the-stamp-of-the-user"]) {
      expect(text).not.toContain(secret.slice(-20));
    }
    expect(text).not.toContain("stack");
    const failed = read(path).find(({ type }) => type === "store-failed");
    expect(failed?.["error"]).toEqual({
      name: "StoreUnavailableError",
      code: "ERR_STORE_UNAVAILABLE",
      message: expect.stringContaining("'read'"),
    });
  });

  it("cuts long texts, and takes from an event only what can be logged", async () => {
    const loop: unknown[] = [];
    loop.push(loop);
    const odd = {
      type: "odd",
      at: START,
      long: `${"a".repeat(499)}🙂`,
      half: "a\ud800b",
      number: Number.NaN,
      big: 1n,
      call: () => "secret",
      bytes: Buffer.from("secret"),
      date: new Date(START),
      map: new Map([["secret", 1]]),
      missing: undefined,
      loop,
      list: ["a", 1, true, null, { ["__proto__"]: "b" }],
      many: Array.from({ length: 1000 }, () => "a"),
      ["__proto__"]: "c",
      error: new TypeError("secret"),
    };
    const written = entriesOf(odd, { type: "odd", at: START, error: "secret" });
    expect(written[0]).toEqual({
      type: "odd",
      time: "2026-01-01T00:00:00.000Z",
      at: START,
      long: `${"a".repeat(499)}\ufffd`,
      half: "a\ufffdb",
      number: null,
      big: null,
      call: null,
      bytes: null,
      date: null,
      map: null,
      missing: null,
      loop: [[[null]]],
      list: ["a", 1, true, null, { ["__proto__"]: "b" }],
      many: Array.from({ length: 100 }, () => "a"),
      ["__proto__"]: "c",
      error: { name: "TypeError" },
    });
    expect(written[1]).toMatchObject({ error: { name: "string" } });
    expect(JSON.stringify(written)).not.toContain("secret");
  });

  it("stops when told, and breaks no request when a sink throws", async () => {
    const { path, sessions, sink, stop } = world();
    await sessions.create();
    stop();
    await sessions.create();
    const stopThrowing = auditLog(sessions, {
      write: () => {
        throw new Error("broken");
      },
      close: async () => undefined,
    });
    await expect(sessions.create()).resolves.toBeDefined();
    stopThrowing();
    await sink.close();
    expect(read(path)).toHaveLength(1);
  });
});

describe("a log file", () => {
  it("is for its owner alone when it is new, is appended to, and keeps its mode when it is not", async () => {
    const path = newPath();
    const first = ndjsonSink(path);
    first.write(entry(1));
    await first.close();
    if (process.platform !== "win32") expect(statSync(path).mode & 0o777).toBe(0o600);
    chmodSync(path, 0o640);
    const second = ndjsonSink(pathToFileURL(path));
    second.write(entry(2));
    await second.close();
    if (process.platform !== "win32") expect(statSync(path).mode & 0o777).toBe(0o640);
    expect(numbers(read(path))).toEqual([1, 2]);
  });

  it("that cannot be opened is an error at the start", () => {
    const missing = join(newPath(), "missing");
    for (const target of [missing, "\0", new URL("https://app.example/log")]) {
      expect(() => ndjsonSink(target)).toThrow(expect.objectContaining({ code: "ERR_OPTIONS_INVALID" }) as Error);
    }
  });

  it("may be renamed: reopen begins a new one after everything taken so far, and loses nothing", async () => {
    const path = newPath();
    const sink = ndjsonSink(path);
    for (let number = 0; number < 50; number++) sink.write(entry(number));
    renameSync(path, `${path}.1`);
    const reopened = sink.reopen();
    for (let number = 50; number < 100; number++) sink.write(entry(number));
    await reopened;
    expect(numbers(read(`${path}.1`))).toEqual(Array.from({ length: 50 }, (_, number) => number));
    await sink.close();
    expect(numbers(read(path))).toEqual(Array.from({ length: 50 }, (_, number) => number + 50));
    if (process.platform !== "win32") expect(statSync(path).mode & 0o777).toBe(0o600);
  });

  it("stays open when it cannot be opened anew", async () => {
    const { warnings, settle } = listenToWarnings();
    const path = newPath();
    const errors: unknown[] = [];
    const sink = ndjsonSink(join(path, "..", "audit.ndjson"), { onError: (error) => errors.push(error) });
    renameSync(join(path, ".."), `${join(path, "..")}-moved`);
    onTestFinished(() => rmSync(`${join(path, "..")}-moved`, { recursive: true, force: true }));
    await sink.reopen();
    sink.write(entry(1));
    await sink.close();
    expect(numbers(read(join(`${join(path, "..")}-moved`, "audit.ndjson")))).toEqual([1]);
    expect(errors).toMatchObject([{ code: "ENOENT" }]);
    await settle();
    expect(warnings).toEqual([expect.stringContaining("(ENOENT)")]);
  });

  it.skipIf(!existsSync("/dev/full"))("on a full disk costs entries, and nothing else", async () => {
    const { warnings, settle } = listenToWarnings();
    const errors: unknown[] = [];
    const sink = ndjsonSink("/dev/full", { onError: (error) => errors.push(error) });
    for (let number = 0; number < 3; number++) sink.write(entry(number));
    await sink.close();
    // Each entry was tried, and at the end the number of those that were lost.
    expect(errors).toMatchObject(Array.from({ length: 4 }, () => ({ code: "ENOSPC" })));
    await settle();
    expect(warnings).toEqual([expect.stringContaining("(ENOSPC)")]);
  });
});

/** A process that appends to a log, in rounds. */
class Appender {
  readonly #child: ChildProcessWithoutNullStreams;
  readonly #answers: AsyncIterator<string>;
  readonly #errors: string[] = [];
  readonly #exited: Promise<unknown[]>;

  constructor(path: string, name: string, count: number, limit: string = "") {
    const script = fileURLToPath(new URL("workers/audit-lines.mjs", import.meta.url));
    const command = limit === "" ? [process.execPath] : ["sh", "-c", `${limit}; exec "$0" "$@"`, process.execPath];
    this.#child = spawn(command[0] ?? "", [...command.slice(1), script]);
    this.#exited = once(this.#child, "exit");
    this.#answers = createInterface({ input: this.#child.stdout })[Symbol.asyncIterator]();
    this.#child.stderr.on("data", (chunk: Buffer) => this.#errors.push(chunk.toString()));
    this.#child.stdin.on("error", () => undefined);
    this.#child.stdin.write(`${JSON.stringify({ path, name, count })}\n`);
    onTestFinished(() => void this.#child.kill("SIGKILL"));
  }

  async hears(answer: string): Promise<void> {
    const { value } = (await this.#answers.next()) as { value: unknown };
    if (value !== answer) throw new Error(`Instead of '${answer}' came ${String(value)}: ${this.#errors.join("")}`);
  }

  go(): void {
    this.#child.stdin.write("go\n");
  }

  async finish(): Promise<void> {
    this.#child.stdin.end();
    const [code] = await this.#exited;
    if (code !== 0) throw new Error(this.#errors.join(""));
  }
}

describe("a log file of several processes", () => {
  it("has whole lines only, each process's own in order", async () => {
    const path = newPath();
    const appenders = ["first", "second"].map((name) => new Appender(path, name, 1000));
    for (const appender of appenders) await appender.hears("ready");
    for (const appender of appenders) appender.go();
    for (const appender of appenders) await appender.hears("done");
    for (const appender of appenders) await appender.finish();
    const entries = read(path);
    expect(entries).toHaveLength(2000);
    for (const name of ["first", "second"]) {
      const own = entries.filter((one) => one["name"] === name);
      expect(numbers(own)).toEqual(Array.from({ length: 1000 }, (_, number) => number));
    }
  });

  it.skipIf(process.platform === "win32")(
    "goes on behind a line that was cut off, with one that is whole",
    async () => {
      const path = newPath();
      const appender = new Appender(path, "limited", 60, "ulimit -f 4");
      await appender.hears("ready");
      appender.go();
      await appender.hears("done");
      const full = readFileSync(path, "utf8");
      expect(full.endsWith("\n")).toBe(false);
      const whole = full.split("\n").length - 1;
      // There is room again: for what was cut off, and three lines more.
      const room = full.split("\n").slice(3).join("\n");
      truncateSync(path, 0);
      writeFileSync(path, room);
      appender.go();
      await appender.hears("done");
      await appender.finish();
      const lines = readFileSync(path, "utf8").split("\n");
      const next = lines.indexOf(full.split("\n").at(-1) ?? "") + 1;
      expect(JSON.parse(lines[next] ?? "")).toMatchObject({ type: "audit-lost", count: 60 - whole });
    },
  );
});

function onStream(stream: WritableLike, options: NdjsonSinkOptions = {}): { sink: NdjsonSink; errors: unknown[] } {
  const errors: unknown[] = [];
  return { sink: ndjsonSink(stream, { onError: (error) => errors.push(error), ...options }), errors };
}

describe("a log on a stream", () => {
  it("gets one line with each write, the next when the one before is written", async () => {
    const valve = new Valve();
    const { sink } = onStream(valve);
    for (let number = 0; number < 3; number++) sink.write(entry(number));
    const closed = sink.close();
    for (const length of [2, 3, 3]) {
      await valve.answer();
      expect(valve.lines).toHaveLength(length);
    }
    await closed;
    expect(numbers(valve.entries())).toEqual([0, 1, 2]);
    for (const line of valve.lines) expect(line).toMatch(/^\{[^\n]*\}\n$/);
  });

  it("holds a bounded number of entries, and says how many were lost", async () => {
    const valve = new Valve();
    const { sink, errors } = onStream(valve, { maxWaiting: 3 });
    for (let number = 0; number < 10; number++) sink.write(entry(number));
    const closed = sink.close();
    for (let times = 0; times < 5; times++) await valve.answer();
    await closed;
    expect(numbers(valve.entries())).toEqual(["7 lost", 0, 1, 2]);
    expect(valve.entries()[0]).toEqual({
      type: "audit-lost",
      time: "2026-01-01T00:00:00.009Z",
      at: START + 9,
      count: 7,
    });
    expect(errors).toEqual([]);
  });

  it("goes on with the next entry after one that failed, and counts it", async () => {
    const { warnings, settle } = listenToWarnings();
    const valve = new Valve();
    const { sink, errors } = onStream(valve);
    for (let number = 0; number < 4; number++) sink.write(entry(number));
    const failure = Object.assign(new Error("broken"), { code: "EIO" });
    for (const error of [null, failure, failure]) await valve.answer(error);
    for (let times = 0; times < 4; times++) await valve.answer();
    await sink.close();
    // The second failed; so did the line that was to tell of it, and with that the third.
    expect(numbers(valve.entries())).toEqual([0, 1, "1 lost", "2 lost", 3]);
    expect(errors).toEqual([failure, failure]);
    await settle();
    expect(warnings).toEqual([expect.stringContaining("(EIO)")]);
  });

  it("tells at its end what was lost last", async () => {
    const valve = new Valve();
    const { sink } = onStream(valve);
    sink.write(entry(1));
    const closed = sink.close();
    await valve.answer(new Error("broken"));
    await valve.answer();
    await closed;
    expect(numbers(valve.entries())).toEqual([1, "1 lost"]);
  });

  it("that is destroyed, throws, or fails with nothing at all, ends no process and rejects nothing", async () => {
    const destroyed = new Writable({ write: (_chunk, _encoding, done) => done() });
    destroyed.destroy();
    const failing = new Writable({ write: (_chunk, _encoding, done) => done(new Error("broken")) });
    const ended = new Writable({ write: (_chunk, _encoding, done) => done() }).end();
    const throwing: WritableLike = {
      write: () => {
        throw new Error("broken");
      },
    };
    const odd: WritableLike = { write: (_line, written) => written("text" as never) };
    for (const stream of [destroyed, failing, ended, throwing, odd]) {
      const { sink, errors } = onStream(stream);
      sink.write(entry(1));
      sink.write(entry(2));
      await sink.close();
      expect(errors.length).toBeGreaterThanOrEqual(2);
    }
  });

  it("survives an onError that throws, and an entry that is none", async () => {
    const valve = new Valve();
    const { sink } = onStream(valve, {
      onError: () => {
        throw new Error("broken");
      },
    });
    sink.write({ ...entry(1), big: 1n as never });
    sink.write(entry(2));
    const closed = sink.close();
    for (let times = 0; times < 3; times++) await valve.answer();
    await closed;
    expect(numbers(valve.entries())).toEqual(["1 lost", 2]);
  });

  it("takes nothing after its end, says so, and ends once", async () => {
    const valve = new Valve();
    const { sink, errors } = onStream(valve);
    const closed = sink.close();
    expect(sink.close()).toBe(closed);
    await closed;
    sink.write(entry(1));
    await sink.reopen();
    expect(valve.lines).toEqual([]);
    expect(errors).toHaveLength(1);
  });

  it("is not asked for when it or an option is wrong", () => {
    const valve = new Valve();
    const wrong: [unknown, unknown][] = [
      [undefined, {}],
      [{}, {}],
      [valve, { maxWaiting: 0 }],
      [valve, { maxWaiting: "many" }],
      [valve, { onError: "log" }],
      [valve, { limit: 5 }],
    ];
    for (const values of wrong) {
      expect(() => Reflect.apply(ndjsonSink, undefined, values) as unknown).toThrow(
        expect.objectContaining({ code: "ERR_OPTIONS_INVALID" }) as Error,
      );
    }
  });
});

/** Compile-only: real streams and real managers fit. */
export function accepts(sessions: SessionManager<{ cart: string[] }>): () => void {
  return auditLog(sessions, ndjsonSink(process.stdout));
}
