/** What is made sure of before a server is used: the layout of what it holds, and that it evicts nothing. */
import { StoreUnavailableError } from "../../errors.ts";
import { unavailable } from "./redis-calls.ts";
import { BUCKETS, type RedisKeys } from "./redis-keys.ts";
import type { RedisLink } from "./redis-links.ts";
import type { Warnings } from "./warnings.ts";

/** Format of entries, and how many buckets there are. */
const LAYOUT = `1:${BUCKETS}`;
const AGAIN_MS = 600_000;
/** A server that was refused is asked again sooner, so that mending it needs no restart. */
const REFUSED_AGAIN_MS = 5000;

/**
 * Answers a function to call before every request: null when all is known to be well, else a promise to wait for, which
 * rejects with `StoreUnavailableError` while the server must not be used. It asks at the first request, and later every
 * ten minutes while requests go on.
 */
export function redisChecks(
  link: RedisLink,
  keys: RedisKeys,
  allowEviction: boolean,
  warnings: Warnings,
): () => Promise<void> | null {
  let refusal: string | null = null;
  let checkedAt: number | null = null;
  let checking: Promise<void> | null = null;

  async function check(): Promise<void> {
    try {
      refusal = (await layoutRefusal(link, keys)) ?? (await evictionRefusal(link, allowEviction, warnings));
      checkedAt = performance.now();
    } catch (error) {
      throw unavailable(error);
    } finally {
      checking = null;
    }
  }

  async function checkAndRefuse(): Promise<void> {
    await (checking ??= check());
    refuse();
  }

  function refuse(): void {
    if (refusal !== null) throw new StoreUnavailableError(refusal);
  }

  return () => {
    if (checkedAt === null) return checkAndRefuse();
    const age = performance.now() - checkedAt;
    if (refusal !== null)
      return age < REFUSED_AGAIN_MS ? Promise.reject(new StoreUnavailableError(refusal)) : checkAndRefuse();
    // In the background: no request waits for it.
    if (age > AGAIN_MS && checking === null) {
      checkedAt = performance.now();
      checking = check();
      checking.catch(() => undefined);
    }
    return null;
  };
}

async function layoutRefusal(link: RedisLink, { layout }: RedisKeys): Promise<string | null> {
  const found = (await link.send(layout, ["GET", layout])) ?? (await settle(link, layout));
  if (String(found) === LAYOUT) return null;
  return "The keys under this prefix have another layout: use the release that wrote them, or another `prefix`.";
}

async function settle(link: RedisLink, layout: string): Promise<unknown> {
  await link.send(layout, ["SET", layout, LAYOUT, "NX"]);
  return link.send(layout, ["GET", layout]);
}

async function evictionRefusal(link: RedisLink, allowEviction: boolean, warnings: Warnings): Promise<string | null> {
  const policy = await evictingPolicy(link);
  if (policy === null) return null;
  if (policy === undefined) {
    warnings.warn(UNKNOWN_EVICTION);
    return null;
  }
  const message =
    `maxmemory-policy is ${policy}: a full server would drop sessions, and tombstones of those that ended. ` +
    "Set maxmemory-policy to noeviction.";
  warnings.warn({ code: "unsafe-eviction", message });
  return allowEviction ? null : message;
}

const UNKNOWN_EVICTION = {
  code: "unknown-eviction",
  message: "The server does not tell its maxmemory-policy; make sure that it is noeviction.",
};

/** The policy by which a master evicts; null when none does, undefined when it cannot be known. */
async function evictingPolicy(link: RedisLink): Promise<string | null | undefined> {
  const answers = await askAll(link);
  if (answers.length === 0) return undefined;
  for (const answer of answers) {
    const most = /^maxmemory:(\d+)/m.exec(answer)?.[1];
    const policy = /^maxmemory_policy:([\w-]+)/m.exec(answer)?.[1];
    if (most === undefined || policy === undefined) return undefined;
    if (most !== "0" && policy !== "noeviction") return policy;
  }
  return null;
}

async function askAll(link: RedisLink): Promise<string[]> {
  try {
    return (await link.sendToAll(["INFO", "memory"])).map(String);
  } catch (error) {
    // Not allowed, or renamed.
    if (error instanceof Error && /^(?:NOPERM|ERR)\b/.test(error.message)) return [];
    throw error;
  }
}
