/** Admitting a record: one script, and what it has to be told first. */
import type { Admission, AdmissionRules, StoreCall, StoredRecord, Tombstone } from "../../core/store.ts";
import { isTombstone } from "../../core/store.ts";
import { StoreUnavailableError } from "../../errors.ts";
import { listOf, type RedisCalls, type Reply, textOf, textsOf } from "./redis-calls.ts";
import { decodeEntry, encodeEntry, memberOf, newWriteId, plain } from "./redis-entry.ts";
import type { RedisKeys } from "./redis-keys.ts";
import { EVERY_BUCKET } from "./redis-pages.ts";
import { ADMIT, COUNT, RESERVE } from "./redis-scripts.ts";

type OwnedRecord = StoredRecord & { readonly owner: string };

/** How many more a space may have, and until when that holds by the server's clock; empty for any number. */
interface Room {
  readonly places: string;
  readonly until: string;
}

const ANY_ROOM: Room = { places: "", until: "" };

/** Admits records under keys; `channel` is empty where nobody is told. */
export function redisAdmission(calls: RedisCalls, keys: RedisKeys, channel: string) {
  /** Reserves a place among all of the space while `work` is done: what is counted then cannot be taken by another. */
  async function withRoom<T>(
    record: OwnedRecord,
    total: number | null,
    call: StoreCall,
    work: (room: Room) => Promise<T>,
  ): Promise<T> {
    if (total === null) return work(ANY_ROOM);
    const key = keys.reservations(record.space);
    const place = `${keys.bucketOf(record.route)} ${memberOf(record)} ${newWriteId().toString("base64url")}`;
    const [until = "", ...before] = textsOf(await calls.query(RESERVE, [key], [place], call));
    try {
      const counted = await countOwned(record.space, [...before, place], call);
      return await work({ places: `${total - counted - before.length}`, until });
    } finally {
      // What is not removed ends by itself within a minute.
      await calls.read(key, ["ZREM", key, place], call).catch(() => undefined);
    }
  }

  /** Counts the live records with an owner but for those that have a place reserved. */
  async function countOwned(space: string, reserved: readonly string[], call: StoreCall): Promise<number> {
    const places = reserved.map((place) => place.split(" "));
    const counts = await Promise.all(
      EVERY_BUCKET.map((bucket) => {
        const members = places.flatMap(([number, member = ""]) => (number === `${bucket}` ? [member] : []));
        const words = [`${call.now}`, "", "", `t.${plain(space)}..`, "", ...members];
        return calls.query(COUNT, [keys.expiry(bucket), keys.index(bucket)], words, call);
      }),
    );
    return counts.reduce<number>((sum, count) => sum + Number(count), 0);
  }

  async function admitInto(
    record: OwnedRecord,
    rules: AdmissionRules,
    room: Room,
    call: StoreCall,
  ): Promise<Admission> {
    const bucket = keys.bucketOf(record.route);
    const id = newWriteId();
    const replacing = rules.replacing === null ? [] : [plain(rules.replacing)];
    const space = plain(record.space);
    const limit = rules.perOwner === null ? "" : `${rules.perOwner}`;
    const entry = encodeEntry(record, id);
    const fixed = [`${call.now}`, id, channel, entry, limit, rules.onLimit, room.places, room.until];
    // The script names the records it has to touch, and is sent their keys. Whenever that is not enough, somebody else
    // has written meanwhile.
    for (let declared: string[] = []; ;) {
      const lookups = [...new Set([...replacing, ...declared])];
      const records = lookups.map((lookup) => keys.recordNamed(bucket, { space, lookup }));
      const touched = [keys.expiry(bucket), keys.index(bucket), keys.record(record), ...records];
      const words = [...fixed, replacing[0] ?? "", ...lookups];
      const answer = listOf(await calls.runEnding(ADMIT, touched, words, call));
      if (textOf(answer[0]) !== "declare") return admissionOf(answer);
      declared = answer.slice(1).map(textOf);
    }
  }

  return {
    admit: (record: OwnedRecord, rules: AdmissionRules, call: StoreCall): Promise<Admission> =>
      withRoom(record, rules.total, call, (room) => admitInto(record, rules, room, call)),
  };
}

function admissionOf([status, ...rest]: readonly Reply[]): Admission {
  switch (textOf(status)) {
    case "created":
      return { status: "created", evicted: rest.map(recordOf) };
    case "exists":
      return { status: "exists" };
    case "reused":
      return { status: "reused", record: recordOf(rest[0] ?? null) };
    case "refused":
      return { status: "refused", limit: textOf(rest[0]) === "total" ? "total" : "owner" };
    default:
      throw new StoreUnavailableError("Nothing was stored: counting all records took too long.");
  }
}

function recordOf(bytes: Reply): StoredRecord {
  const entry: StoredRecord | Tombstone | null = bytes instanceof Buffer ? decodeEntry(bytes) : null;
  if (entry === null || isTombstone(entry)) throw new StoreUnavailableError("An entry of the index is no record.");
  return entry;
}
