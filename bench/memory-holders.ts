/** Those who hold sessions in memory. */
import { hash, randomBytes } from "node:crypto";
import expressSession from "express-session";
import { createSessionManager, generateKey } from "symbolon";
import { memoryStore } from "symbolon/stores/memory";
import { type Data, makeData } from "./data.ts";

/** Takes in one more session. */
export type Fill = (index: number) => Promise<unknown> | void;

export const HOLDERS = [
  "Symbolon, memoryStore",
  "Symbolon, memoryStore, anonymous",
  "express-session, MemoryStore",
  "floor: Map of JSON",
] as const;

export type Holder = (typeof HOLDERS)[number];

/** Everything that is held hangs on what is answered. */
export function fillOf(holder: Holder): Fill {
  if (holder === "express-session, MemoryStore") return fillPeer();
  if (holder === "floor: Map of JSON") return fillMap();
  return fillOwn(holder === "Symbolon, memoryStore");
}

/** Ten sessions a user. */
function fillOwn(hasUsers: boolean): Fill {
  const store = memoryStore({ maxRecords: 2_000_000 });
  const sessions = createSessionManager<Data>({ store, keys: [generateKey()], pruneEvery: false });
  return (index) =>
    sessions.create({ data: makeData(), ...(hasUsers && { userId: `user-${Math.floor(index / 10)}` }) });
}

function fillPeer(): Fill {
  const store = new expressSession.MemoryStore();
  const cookie = { originalMaxAge: null, httpOnly: true, path: "/" };
  return () => store.set(randomBytes(24).toString("base64url"), { cookie, ...makeData() }, () => undefined);
}

function fillMap(): Fill {
  const sessions = new Map<string, { readonly json: string; readonly expiresAt: number }>();
  return () => {
    const key = hash("sha256", randomBytes(32).toString("base64url"), "base64url");
    sessions.set(key, { json: JSON.stringify(makeData()), expiresAt: Date.now() + 3_600_000 });
  };
}
