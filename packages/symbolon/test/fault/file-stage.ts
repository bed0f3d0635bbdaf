/** File stores for tests of what may go wrong: a folder of their own, and processes that die in the midst of work. */
import { randomBytes } from "node:crypto";
import { chmodSync, mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { AdmissionRules, RecordChange, StoreCall, StoredRecord } from "symbolon";
import { type FileStore, fileStore, type FileStoreOptions } from "symbolon/stores/file";
import { onTestFinished } from "vitest";
import { type RunningWorker, startWorker } from "../support/workers.ts";

export type OwnedRecord = StoredRecord & { readonly owner: string };

export const HOUR = 3_600_000;
export const NOW: number = Date.now();
export const ALL = { cursor: null, limit: 1000 };

export function callAt(now: number = NOW, signal: AbortSignal = new AbortController().signal): StoreCall {
  return { now, signal };
}

/** A folder for one test. */
export function newRoot(): string {
  const root = mkdtempSync(join(tmpdir(), "symbolon-file-"));
  chmodSync(root, 0o700);
  onTestFinished(() => rmSync(root, { recursive: true, force: true }));
  return root;
}

/** A handle for one test. */
export function openStore(root: string, options?: FileStoreOptions): FileStore {
  const store = fileStore(root, options);
  onTestFinished(async () => store.close());
  return store;
}

/** A record of a user who has others like it. */
export function newRecord(fields: Partial<OwnedRecord> = {}): OwnedRecord {
  return {
    space: "space",
    route: 0x123456,
    lookup: randomBytes(32).toString("base64url"),
    owner: "owner",
    tenant: null,
    createdAt: NOW,
    touchedAt: NOW,
    deadline: NOW + HOUR,
    version: 1,
    envelope: randomBytes(300),
    data: randomBytes(2000),
    ...fields,
  };
}

export function newChange(fields: Partial<RecordChange> = {}): RecordChange {
  return { touchedAt: NOW, deadline: NOW + 2 * HOUR, envelope: randomBytes(300), data: randomBytes(3000), ...fields };
}

export const EVICTING: AdmissionRules = { perOwner: 3, total: null, onLimit: "evict-oldest", replacing: null };

/** What a process is to do, and when it is to die. */
export interface Dying {
  readonly root: string;
  readonly options?: FileStoreOptions;
  readonly step?: number;
  readonly how?: "SIGKILL" | "SIGSTOP" | "hang";
  readonly method: keyof FileStore;
  readonly args: readonly unknown[];
  readonly repeat?: boolean;
}

/** Orders as the worker reads them. */
export function asOrders(dying: Dying): unknown {
  return JSON.parse(JSON.stringify(dying), (_name, value: unknown) =>
    isBytes(value) ? { bytes: Buffer.from(value.data).toString("base64") } : value,
  );
}

/** Starts a process that does the work. */
export async function startDying(dying: Dying): Promise<RunningWorker> {
  const worker = await startWorker("file-dying.mjs");
  worker.tell(asOrders(dying));
  return worker;
}

/** Every file and folder below, without the sockets of those who live. */
export function leftovers(root: string): string[] {
  const names = readdirSync(root, { recursive: true, encoding: "utf8" });
  return names.filter((name) => /^locks\/(?:new|[^/]+\/(?!free$))/.test(name));
}

/** How a Buffer looks in JSON. */
function isBytes(value: unknown): value is { readonly data: number[] } {
  return typeof value === "object" && value !== null && "type" in value && value.type === "Buffer" && "data" in value;
}
