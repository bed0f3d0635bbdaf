/** The link by which `cached` hears what others write: opened when it is needed, and opened again after it broke. */
import type { InvalidationListener, Invalidations } from "../../core/store.ts";
import { limitedCall } from "./limited-call.ts";

/** What is told of the link. */
export interface LinkListener {
  /** A record was written. */
  readonly changed: (lookup: string) => void;
  /** Something may have been written that was not told. */
  readonly missed: () => void;
  /** The link broke, or could not be opened; told once until it is up again. */
  readonly onFailure: () => void;
}

/** A link that opens itself again. */
export interface InvalidationLink {
  /** Begins to open it, unless that was begun before. */
  open(): void;
  /** Whether every write is told. */
  isUp(): boolean;
  close(): Promise<void>;
}

const OPEN_WITHIN_MS = 5000;
const FIRST_PAUSE_MS = 250;
const LONGEST_PAUSE_MS = 30_000;

/** Makes a link that is not open yet. */
export function invalidationLink(store: Invalidations, listener: LinkListener): InvalidationLink {
  let state: "idle" | "opening" | "up" | "down" | "closed" = "idle";
  let isFailureTold = false;
  let unsubscribe: (() => unknown) | null = null;
  let opening: Promise<void> = Promise.resolve();
  let timer: NodeJS.Timeout | undefined;

  function turn(next: "up" | "down"): void {
    if (state === "closed") return;
    state = next;
    listener.missed();
    if (next === "up") isFailureTold = false;
    else tellFailure();
  }

  function tellFailure(): void {
    if (isFailureTold) return;
    isFailureTold = true;
    listener.onFailure();
  }

  const messages: InvalidationListener = {
    changed: listener.changed,
    released: () => undefined,
    lost: () => turn("down"),
    restored: () => turn("up"),
  };

  async function subscribe(pause: number): Promise<void> {
    // The machine's clock: nothing of a subscription is written down.
    const call = limitedCall(Date.now(), OPEN_WITHIN_MS);
    const told = (async () => store.subscribe(messages, call))();
    try {
      const stop = await Promise.race([told, call.late]);
      unsubscribe = stop;
      // It may have broken already; then it is for the store to say when it is up again.
      if (state === "opening") turn("up");
    } catch {
      turn("down");
      // One that comes after all is not wanted any more.
      told.then(
        (stop) => stop(),
        () => undefined,
      );
      timer = setTimeout(() => begin(Math.min(pause * 2, LONGEST_PAUSE_MS)), pause);
      timer.unref();
    } finally {
      call.done();
    }
  }

  function begin(pause: number): void {
    if (state === "closed") return;
    state = "opening";
    opening = subscribe(pause);
  }

  return {
    open() {
      if (state === "idle") begin(FIRST_PAUSE_MS);
    },

    isUp: () => state === "up",

    async close() {
      state = "closed";
      clearTimeout(timer);
      await opening;
      await unsubscribe?.();
    },
  };
}
