/** Disks that are full or cannot be written, and clocks that go wrong, under a file store. */
import { execFileSync } from "node:child_process";
import { chmodSync, mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { isTombstone, StoreUnavailableError } from "symbolon";
import { describe, expect, onTestFinished, test } from "vitest";
import { ALL, callAt, EVICTING, HOUR, leftovers, newChange, newRecord, newRoot, NOW, openStore } from "./file-stage.ts";

/** A disk of its own, of 256 KiB. */
function smallDisk(): string {
  const root = join(newRoot(), "disk");
  mkdirSync(root);
  mountSmall(root);
  onTestFinished(() => void execFileSync("umount", ["-l", root]));
  return root;
}

function mountSmall(folder: string): void {
  execFileSync("mount", ["-t", "tmpfs", "-o", "size=256k,mode=700", "tmpfs", folder], { stdio: "ignore" });
}

function remount(root: string, mode: "ro" | "rw"): void {
  execFileSync("mount", ["-o", `remount,${mode}`, root]);
}

/** Only root may mount, and not in every container. */
function canMount(): boolean {
  const folder = mkdtempSync(join(tmpdir(), "symbolon-mount-"));
  try {
    mountSmall(folder);
    execFileSync("umount", ["-l", folder]);
    return true;
  } catch {
    return false;
  } finally {
    rmSync(folder, { recursive: true });
  }
}

describe.skipIf(!canMount())("a disk of its own (skipped where none may be mounted)", () => {
  test("that is full refuses what needs room, changes nothing, and takes it when there is room again", async () => {
    const root = smallDisk();
    const store = openStore(root);
    const held = [1, 2, 3].map((index) => newRecord({ createdAt: NOW + index }));
    for (const record of held) await store.create(record, callAt());
    const ballast = join(root, "ballast");
    // The rest of the disk.
    expect(() => writeFileSync(ballast, Buffer.alloc(512 * 1024))).toThrow(/ENOSPC/);

    const fresh = newRecord({ createdAt: NOW + 9, data: Buffer.alloc(50_000) });
    const change = newChange({ data: Buffer.alloc(50_000) });
    for (const write of [
      () => store.create(fresh, callAt()),
      () => store.create({ ...fresh, route: 0x777777 }, callAt()),
      () => store.update(held[0]!, 1, change, callAt()),
      () => store.admit(fresh, EVICTING, callAt()),
      () => store.admit(fresh, { ...EVICTING, perOwner: 1 }, callAt()),
    ]) {
      const error: unknown = await Promise.resolve(write()).catch((reason: unknown) => reason);
      expect(error).toBeInstanceOf(StoreUnavailableError);
      expect((error as Error).cause).toMatchObject({ code: "ENOSPC" });
      expect(leftovers(root)).toEqual([]);
    }
    for (const record of held) expect(await store.read(record, callAt())).toEqual(record);
    expect(await store.read(fresh, callAt())).toBe(null);
    expect(await store.countByOwner(fresh, callAt())).toBe(3);

    rmSync(ballast);
    expect(await store.update(held[0]!, 1, change, callAt())).toBe("updated");
    expect((await store.admit(fresh, EVICTING, callAt())).status).toBe("created");
    expect(await store.countByOwner(fresh, callAt())).toBe(3);
  });

  test("that became read-only is still read, refuses writes, and takes them again", async () => {
    const root = smallDisk();
    const store = openStore(root);
    const record = newRecord();
    await store.create(record, callAt());
    remount(root, "ro");
    expect(await store.read(record, callAt())).toEqual(record);
    const error: unknown = await Promise.resolve(store.update(record, 1, newChange(), callAt())).catch(
      (e: unknown) => e,
    );
    expect(error).toBeInstanceOf(StoreUnavailableError);
    expect((error as Error).cause).toMatchObject({ code: "EROFS" });
    remount(root, "rw");
    expect(await store.update(record, 1, newChange(), callAt())).toBe("updated");
  });
});

describe("a folder that goes away", () => {
  test("fails every call, and serves again when it is back", async () => {
    const root = newRoot();
    const store = openStore(root);
    const record = newRecord();
    await store.create(record, callAt());
    // A file in the place of a folder fails whoever is asked, root too.
    const folder = join(root, "records");
    execFileSync("mv", [folder, `${root}.away`]);
    writeFileSync(folder, "");
    await expect(async () => store.read(record, callAt())).rejects.toThrow(StoreUnavailableError);
    await expect(async () => store.create(newRecord(), callAt())).rejects.toThrow(StoreUnavailableError);
    await expect(async () => store.countByTenant({ space: "space", tenant: null }, callAt())).rejects.toThrow(
      StoreUnavailableError,
    );
    rmSync(folder);
    execFileSync("mv", [`${root}.away`, folder]);
    expect(await store.read(record, callAt())).toEqual(record);
    expect(await store.create(newRecord(), callAt())).toBe("created");
    chmodSync(folder, 0o700);
  });
});

describe("a clock", () => {
  test("that goes back or ahead leaves records, leases and markers in order", async () => {
    const root = newRoot();
    const store = openStore(root);
    const record = newRecord();
    await store.create(record, callAt());
    const day = 24 * HOUR;
    let version = 1;
    for (const now of [NOW - 30 * day, NOW + 30 * day, 0, NOW]) {
      const change = newChange({ touchedAt: now, deadline: now + HOUR });
      expect(await store.update(record, version++, change, callAt(now))).toBe("updated");
      expect(await store.countByOwner(record, callAt(now))).toBe(1);
      expect(await store.prune(now, 100, callAt(now))).toBe(0);
    }
    const found = await store.read(record, callAt());
    expect(found !== null && !isTombstone(found) && found.version).toBe(5);
    const lock = { space: "space", route: 1, lock: "lock" };
    const fences: unknown[] = [];
    for (const now of [NOW, NOW + day, NOW - day, 0]) {
      const taken = await store.acquireLock(lock, "ann", HOUR, callAt(now));
      fences.push("fence" in taken && taken.fence);
      await store.releaseLock(lock, "ann", callAt(now));
    }
    expect(fences).toEqual([...new Set(fences)].toSorted((a, b) => Number(a) - Number(b)));
    expect(await store.prune(NOW + HOUR, 100, callAt(NOW + HOUR))).toBe(1);
    // Those of deadlines that were given up are gone.
    const markers = readdirSync(join(root, "expiry"), { recursive: true, encoding: "utf8" });
    expect(markers.filter((name) => name.includes("."))).toEqual([]);
  });
});

describe("with `sync`", () => {
  test("all is as without", async () => {
    const store = openStore(newRoot(), { sync: true });
    const records = [1, 2, 3, 4].map((index) => newRecord({ createdAt: NOW + index }));
    for (const record of records) {
      expect((await store.admit(record, { ...EVICTING, perOwner: 1 }, callAt())).status).toBe("created");
    }
    expect((await store.listByOwner(records[0]!, ALL, callAt())).records).toEqual([records[3]]);
    expect(await store.update(records[3]!, 1, newChange(), callAt())).toBe("updated");
    expect(await store.prune(NOW + 10 * HOUR, 100, callAt())).toBe(4);
  });
});
