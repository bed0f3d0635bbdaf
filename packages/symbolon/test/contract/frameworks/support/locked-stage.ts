/** A manager whose store is watched for locks, and applications behind bindings that take them. */
import { createSessionManager, generateKey, type Locking, type OpenOptions, type SessionManager } from "symbolon";
import { memoryStore } from "symbolon/stores/memory";
import { expect, onTestFinished } from "vitest";
import { wait } from "../../../support/delays.ts";
import { intercept } from "../../../support/stores.ts";
import type { Exchange, Handler, Served, Target } from "./app.ts";
import { type Backstage, backstage } from "./stage.ts";

export interface Locked extends Backstage {
  /** Another process on the same storage. */
  readonly elsewhere: SessionManager;
  /** Calls of the store so far. */
  readonly methods: string[];
  /** Frees the lock that was taken last, as a storage that lost it. */
  readonly forget: () => Promise<unknown>;
  /** The next call of a method fails. */
  readonly fail: (method: string) => void;
}

export function lockedStage(): Locked {
  const inner = memoryStore();
  const methods: string[] = [];
  let acquired: readonly unknown[] = [];
  let failing: string | null = null;
  const store = intercept(inner, async (call) => {
    methods.push(call.method);
    if (call.method === "acquireLock") acquired = call.args;
    if (call.method !== failing) return call.proceed();
    failing = null;
    throw new Error("The server is away.");
  });
  const keys = [generateKey()];
  const elsewhere = createSessionManager({ store: inner, keys, pruneEvery: false });
  onTestFinished(() => elsewhere.close());
  return {
    ...backstage({ store, keys }),
    elsewhere,
    methods,
    fail: (method) => void (failing = method),
    async forget() {
      const [key, holder, , call] = acquired as Parameters<Locking["acquireLock"]>;
      expect(await inner.releaseLock(key, holder, call)).toBe(true);
    },
  };
}

/** Serves the application until the test is over; `options` are those of one binding around the other. */
export async function serveLocked(
  target: Target,
  { sessions }: Backstage,
  handler: Handler,
  options: readonly [OpenOptions, ...OpenOptions[]] = [{ lock: true }],
): Promise<Served> {
  const [, ...inner] = options;
  const served = await target.serve([sessions, ...inner.map(() => sessions)], handler, undefined, options);
  onTestFinished(() => served.close());
  return served;
}

export async function countUp({ session }: Exchange): Promise<void> {
  const count = Number(session.data["n"]);
  await wait(2);
  session.data["n"] = count + 1;
}

/** Waits until somebody else can have the session's lock, and has had it. */
export async function untilFree({ sessions }: Backstage, token: string): Promise<void> {
  await (await sessions.validate(token))?.lock(() => undefined);
}

/** Never ends. */
export async function hang(reached: { readonly resolve: () => void }): Promise<never> {
  reached.resolve();
  return new Promise(() => undefined);
}

/** Whether the lock is free as soon as a release that is on its way has arrived. */
export async function isFree({ sessions }: Backstage, token: string): Promise<boolean> {
  await wait(10);
  const session = await sessions.validate(token);
  try {
    await session?.lock({ wait: 0 }, () => undefined);
    return true;
  } catch {
    return false;
  }
}
