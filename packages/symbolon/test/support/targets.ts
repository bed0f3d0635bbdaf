/**
 * Stores that tests open by name, in this process or in another: each file of `test/targets` is one kind.
 *
 * What is passed from process to process is plain JSON: the kind, and `where` its storage is. They are JavaScript,
 * because workers run them as they are.
 */
import type { Store } from "symbolon";
import { onTestFinished } from "vitest";

/** A kind of store, over one client and one kind of server. */
export interface Variant {
  /** As `redisStore over ioredis (cluster)`. */
  readonly name: string;
  /** The server it needs, as `serverUrls` names it; null for none. */
  readonly server: string | null;
}

/** Where one storage is. */
export type Where = Readonly<Record<string, unknown>>;

/** A store that was opened, and its client's end; the end may be called twice. */
export interface Handle<S extends Store = Store> {
  readonly store: S;
  close(): unknown;
}

/** What a file of `test/targets` exports. */
export interface Target<S extends Store = Store, V extends Variant = Variant> {
  readonly variants: readonly V[];
  /** Makes an empty storage that nobody else uses. */
  prepare(variant: V, url: string | null): Where | Promise<Where>;
  /** Opens one more handle, with a client of its own. */
  open(where: Where): Handle<S> | Promise<Handle<S>>;
  /** Removes the storage, once its handles are closed. */
  drop(where: Where): unknown;
}

/** An empty storage for the test that runs; its handles are closed, and it is removed, when the test is over. */
export async function storageFor<S extends Store, V extends Variant>(
  target: Target<S, V>,
  variant: V,
  url: string | null,
): Promise<{ readonly where: Where; open(): Promise<S> }> {
  const where = await target.prepare(variant, url);
  const handles: Handle[] = [];
  onTestFinished(async () => {
    for (const handle of handles) await handle.close();
    await target.drop(where);
  });
  return {
    where,
    async open() {
      const handle = await target.open(where);
      handles.push(handle);
      return handle.store;
    },
  };
}
