/** Who gives way to a new record among the records of its owner: the part of admission that is the same in every store. */
import type { AdmissionRules, StoredRecord } from "../../core/store.ts";
import { newestFirst } from "./cursor.ts";

/** What is to be known of a record that may have to give way. */
export type Rival = Pick<StoredRecord, "lookup" | "createdAt" | "touchedAt">;

/** What the owner's limit asks for; `created` when there is room once `evicted` are gone. */
export type Verdict<R extends Rival> =
  | { readonly status: "created"; readonly evicted: readonly R[] }
  | { readonly status: "refused"; readonly limit: "owner" }
  | { readonly status: "reused"; readonly record: R };

/** Decides by `perOwner`. The rivals are the owner's live records without the one that is replaced, in any order. */
export function admitAmong<R extends Rival>(rivals: readonly R[], { perOwner, onLimit }: AdmissionRules): Verdict<R> {
  const excess = perOwner === null ? 0 : rivals.length + 1 - perOwner;
  if (excess <= 0) return { status: "created", evicted: [] };
  const [newest] = rivals.toSorted(newestFirst);
  if (onLimit === "reject" || newest === undefined) return { status: "refused", limit: "owner" };
  if (onLimit === "reuse") return { status: "reused", record: newest };
  const order = onLimit === "evict-idle" ? idlestFirst : oldestFirst;
  return { status: "created", evicted: rivals.toSorted(order).slice(0, excess) };
}

function oldestFirst(a: Rival, b: Rival): number {
  return newestFirst(b, a);
}

function idlestFirst(a: Rival, b: Rival): number {
  return a.touchedAt - b.touchedAt || oldestFirst(a, b);
}
