/** What a store has acknowledged to one process, call by call. */
import type { Admission, Ending, OwnerKey, RecordKey, Store, StoredRecord } from "symbolon";

/** A record that was created; the instants are of a clock that all processes share, in microseconds. */
export interface Created {
  readonly lookup: string;
  readonly space: string;
  readonly route: number;
  readonly owner: string | null;
  readonly tenant: string | null;
  readonly from: number;
  readonly until: number;
}

/** All records of a user were ended, and this many there were. */
export interface EndedAll {
  readonly owner: string;
  readonly count: number;
  readonly from: number;
  readonly until: number;
}

/** What was acknowledged, in any order: a journal can be told from its entries. */
export type Entry =
  | { readonly created: Created }
  /** How often a record was updated. */
  | { readonly updated: string; readonly times: number }
  | { readonly ended: string }
  | { readonly endedAll: EndedAll };

/** Microseconds of a clock that all processes of this machine share. */
export function sharedNow(): number {
  return Number(process.hrtime.bigint() / 1000n);
}

/** Notes what a store acknowledges. */
export class Journal {
  readonly #created: Created[] = [];
  readonly #updates = new Map<string, number>();
  readonly #ended: string[] = [];
  readonly #endedAll: EndedAll[] = [];

  /** A store that does the same, and is overheard. */
  of<S extends Store>(store: S): S {
    return new Proxy(store, {
      get: (target, name) => {
        const method: unknown = Reflect.get(target, name);
        if (typeof method !== "function" || typeof name !== "string") return method;
        return async (...args: unknown[]): Promise<unknown> => {
          const from = sharedNow();
          const answer: unknown = await Reflect.apply(method, target, args);
          this.#note(name, args, answer, from);
          return answer;
        };
      },
    });
  }

  *entries(): Generator<Entry> {
    for (const created of this.#created) yield { created };
    for (const [updated, times] of this.#updates) yield { updated, times };
    for (const ended of this.#ended) yield { ended };
    for (const endedAll of this.#endedAll) yield { endedAll };
  }

  #note(method: string, args: readonly unknown[], answer: unknown, from: number): void {
    if (method === "create" && answer === "created") this.#noteCreated(args[0] as StoredRecord, from);
    if (method === "admit") this.#noteAdmission(args[0] as StoredRecord, answer as Admission, from);
    if (method === "update" && answer === "updated") {
      const { lookup } = args[0] as RecordKey;
      this.#updates.set(lookup, (this.#updates.get(lookup) ?? 0) + 1);
    }
    if (method === "delete" && answer === true) this.#ended.push((args[0] as RecordKey).lookup);
    if (method === "deleteByOwner") {
      const [{ owner }, except] = args as [OwnerKey, readonly string[], Ending];
      if (except.length > 0) throw new TypeError("The account does not know whom such a call spares.");
      this.#endedAll.push({ owner, count: answer as number, from, until: sharedNow() });
    }
  }

  #noteCreated({ lookup, space, route, owner, tenant }: StoredRecord, from: number): void {
    this.#created.push({ lookup, space, route, owner, tenant, from, until: sharedNow() });
  }

  #noteAdmission(record: StoredRecord, admission: Admission, from: number): void {
    if (admission.status !== "created") return;
    this.#noteCreated(record, from);
    for (const { lookup } of admission.evicted) this.#ended.push(lookup);
  }
}
