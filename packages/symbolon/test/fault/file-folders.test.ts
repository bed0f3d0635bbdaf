/** Who can get at the files of a file store, and what is planted among them. */
import { execFile } from "node:child_process";
import {
  chmodSync,
  chownSync,
  existsSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { promisify } from "node:util";
import { OptionsError, type StoreWarning, StoreUnavailableError } from "symbolon";
import { type FileStore, fileStore } from "symbolon/stores/file";
import { describe, expect, onTestFinished, test } from "vitest";
import { ALL, asOrders, callAt, EVICTING, newChange, newRecord, newRoot, NOW, openStore } from "./file-stage.ts";

function below(root: string, pattern: RegExp): string {
  const found = readdirSync(root, { recursive: true, encoding: "utf8" }).find((name) => pattern.test(name));
  if (found === undefined) throw new Error(`nothing is called ${pattern}`);
  return join(root, found);
}

describe("the folder of a file store", () => {
  test.each(["000", "022", "077", "277", "777"])(
    "is open to nobody else, nor anything in it, whatever the umask: %s",
    async (umask) => {
      const root = join(newRoot(), "made");
      const script = new URL("workers/file-dying.mjs", import.meta.url).pathname;
      const orders = JSON.stringify(asOrders({ root, method: "create", args: [newRecord()] }));
      const command = `umask ${umask}; printf '%s\\n' "$1" | "$2" "$3"`;
      const { stdout } = await promisify(execFile)("sh", ["-c", command, "sh", orders, process.execPath, script]);
      expect(stdout).toContain('survived "created"');
      const names = ["", ...readdirSync(root, { recursive: true, encoding: "utf8" })];
      expect(names.length).toBeGreaterThan(8);
      for (const name of names) {
        const stats = lstatSync(join(root, name));
        expect([name, stats.mode & 0o777]).toEqual([name, stats.isDirectory() ? 0o700 : 0o600]);
      }
    },
  );

  test("is refused when it is a symbolic link, no folder, too long, or another user can write in it", () => {
    const folder = newRoot();
    symlinkSync(folder, join(folder, "link"));
    symlinkSync(join(folder, "nowhere"), join(folder, "dangling"));
    writeFileSync(join(folder, "file"), "");
    for (const name of ["link", "link/", "dangling", "file", "x".repeat(80)]) {
      expect(() => fileStore(join(folder, name))).toThrow(OptionsError);
    }
    mkdirSync(join(folder, "open"));
    for (const mode of [0o777, 0o770, 0o720, 0o702, 0o1777]) {
      chmodSync(join(folder, "open"), mode);
      expect(() => fileStore(join(folder, "open"))).toThrow(/others can write/);
    }
    chmodSync(join(folder, "open"), 0o755);
    fileStore(join(folder, "open"));
    // Only root can give a folder away.
    if (process.geteuid?.() !== 0) return;
    chownSync(join(folder, "open"), 1, 1);
    expect(() => fileStore(join(folder, "open"))).toThrow(/others can write/);
  });

  test("and its options are checked when the store is made", () => {
    // @ts-expect-error: no path.
    expect(() => fileStore()).toThrow(/`root` must be the path/);
    expect(() => fileStore("")).toThrow(OptionsError);
    // @ts-expect-error: no boolean.
    expect(() => fileStore(newRoot(), { sync: "yes" })).toThrow(/`sync` must be true or false/);
  });

  test("that cannot be made is no mistake in the options", () => {
    const root = newRoot();
    writeFileSync(join(root, "file"), "");
    expect(() => fileStore(join(root, "file", "sessions"))).toThrow(StoreUnavailableError);
  });
});

/** Puts a link to a folder or file of somebody else's in the place of ours. */
function plant(path: string): { readonly elsewhere: string; readonly seen: () => string[] } {
  const elsewhere = mkdtempSync(join(tmpdir(), "symbolon-elsewhere-"));
  onTestFinished(() => rmSync(elsewhere, { recursive: true }));
  renameSync(path, join(elsewhere, "moved"));
  symlinkSync(join(elsewhere, "moved"), path);
  const seen = (): string[] =>
    readdirSync(elsewhere, { recursive: true, encoding: "utf8" }).map((name) => {
      const file = join(elsewhere, name);
      return lstatSync(file).isFile() ? `${name}: ${readFileSync(file, "latin1")}` : name;
    });
  return { elsewhere, seen };
}

async function storeWithRecord() {
  const root = newRoot();
  const store = openStore(root);
  const record = newRecord();
  await store.create(record, callAt());
  return { root, store, record };
}

describe("a symbolic link that was planted", () => {
  test.each([
    ["all records", /^records$/],
    ["a space", /^records\/[^/]+$/],
    ["the folder of a route", /^records\/[^/]+\/[^/]+$/],
    ["all markers", /^expiry$/],
    ["a bucket of markers", /^expiry\/[^/]+$/],
    ["all locks", /^locks$/],
    ["a lock", /^locks\/[^/]+$/],
  ])("in the place of %s is not followed: what it leads to stays as it is", async (_what, pattern) => {
    const { root, store, record } = await storeWithRecord();
    const { seen } = plant(below(root, pattern));
    const before = seen();
    const writes = [
      () => store.create(newRecord(), callAt()),
      () => store.update(record, 1, newChange({ deadline: record.deadline + 1 }), callAt()),
      () => store.admit(newRecord(), EVICTING, callAt()),
      () => store.update(record, 1, newChange(), callAt()),
      () => store.deleteByOwner(record, [], { reason: "logout", at: NOW }, callAt()),
    ];
    const answers = await Promise.allSettled(writes.map(async (write) => write()));
    expect(answers.some(({ status }) => status === "rejected")).toBe(true);
    for (const answer of answers) {
      if (answer.status === "rejected") expect(answer.reason).toBeInstanceOf(StoreUnavailableError);
    }
    await Promise.allSettled([(async () => store.prune(NOW * 2, 100, callAt()))()]);
    expect(seen()).toEqual(before);
  });

  test("in the place of a record is no session; prune removes the link alone", async () => {
    const { root, store, record } = await storeWithRecord();
    const { seen } = plant(below(root, /^records\/.*\./));
    const before = seen();
    expect(await store.read(record, callAt())).toBe(null);
    expect(await store.update(record, 1, newChange(), callAt())).toBe("missing");
    expect(await store.delete(record, { reason: "logout", at: NOW }, callAt())).toBe(false);
    const other = newRecord();
    await store.create(other, callAt());
    expect((await store.listByOwner(record, ALL, callAt())).records).toHaveLength(1);
    expect(await store.prune(record.deadline, 100, callAt(record.deadline))).toBe(1);
    expect(existsSync(join(root, "records"))).toBe(true);
    expect(readdirSync(root, { recursive: true }).filter((name) => /^records\/.*\./.test(String(name)))).toEqual([]);
    expect(seen()).toEqual(before);
  });

  test("in the place of the whole folder, later, is not followed either", async () => {
    const { root, store, record } = await storeWithRecord();
    const { seen, elsewhere } = plant(root);
    const before = seen();
    await expect(async () => store.read(record, callAt())).rejects.toThrow(StoreUnavailableError);
    await expect(async () => store.create(newRecord(), callAt())).rejects.toThrow(StoreUnavailableError);
    expect(seen()).toEqual(before);
    rmSync(root);
    renameSync(join(elsewhere, "moved"), root);
  });
});

function flip(bytes: Buffer): Buffer {
  bytes[bytes.length - 5]! ^= 1;
  return bytes;
}

function otherOf(file: string): string {
  const other = readdirSync(dirname(file)).find((name) => !file.endsWith(name));
  return join(dirname(file), other ?? "");
}

describe("a file that is not as it was written", () => {
  const damages: Readonly<Record<string, (file: string) => void>> = {
    "is empty": (file) => writeFileSync(file, ""),
    "ends early": (file) => writeFileSync(file, readFileSync(file).subarray(0, -1)),
    "has lost its head": (file) => writeFileSync(file, readFileSync(file).fill(0, 0, 100)),
    "has one other bit": (file) => writeFileSync(file, flip(readFileSync(file))),
    "is longer": (file) => writeFileSync(file, Buffer.concat([readFileSync(file), Buffer.alloc(1)])),
    "is another's": (file) => writeFileSync(file, readFileSync(otherOf(file))),
  };

  test.each(Object.entries(damages))(
    "because it %s is no session, and keeps none from its work",
    async (_how, damage) => {
      const root = newRoot();
      const store: FileStore = openStore(root);
      const warnings: StoreWarning[] = [];
      store.onWarning((warning) => warnings.push(warning));
      const [torn, whole] = [newRecord(), newRecord()];
      await store.create(torn, callAt());
      const file = below(root, /^records\/.*\./);
      await store.create(whole, callAt());
      damage(file);
      expect(await store.read(torn, callAt())).toBe(null);
      expect(warnings.map(({ code }) => code)).toEqual(["torn-file"]);
      expect(await store.update(torn, 1, newChange(), callAt())).toBe("missing");
      expect(await store.countByOwner(whole, callAt())).toBe(1);
      expect(await store.countByTenant({ space: "space", tenant: null }, callAt())).toBe(1);
      expect((await store.scan(ALL, callAt())).entries).toHaveLength(1);
      const admission = await store.admit(newRecord(), { ...EVICTING, perOwner: 2, onLimit: "reject" }, callAt());
      expect(admission.status).toBe("created");
      const late: StoreWarning[] = [];
      store.onWarning((warning) => late.push(warning));
      expect(late).toEqual(warnings.slice(0, 1));
      expect(JSON.stringify(late)).not.toContain(torn.lookup);
      // Both whole records, and what was left of the third.
      expect(await store.prune(torn.deadline, 100, callAt(torn.deadline))).toBe(2);
      expect(existsSync(file)).toBe(false);
    },
  );
});
