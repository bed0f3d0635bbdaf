/**
 * Tokens for one use: links that confirm an address, reset a password, accept an invitation.
 *
 * They are a kind of their own: no session token passes as one, nor the other way round. At rest there is a
 * digest of the secret; the token is shown once, when it is issued.
 */
import { sealFirst, storeFirst } from "../core/begin-session.ts";
import { checkExtra } from "../core/beginning.ts";
import { checkId, checkName, refuseUnknown } from "../core/checks.ts";
import type { Engine } from "../core/engine.ts";
import { type Duration, parseDuration } from "../core/lifetime.ts";
import { engineOf, type SessionManager } from "../core/manager.ts";
import type { Snapshot } from "../core/record.ts";
import { TOMBSTONE_MS } from "../core/store.ts";
import { OptionsError } from "../errors.ts";

/** What a token is issued for. */
export interface OneTimeOptions {
  /** Whose token it is: it ends when all sessions of the user are ended, or the user's credentials change. */
  readonly userId?: string;
  /** What is handed back when the token is used; sealed under the server's key. */
  readonly extra?: Readonly<Record<string, unknown>>;
  /** How long it may be used; default 15 minutes, a day at most. */
  readonly lifetime?: Duration;
}

/** What a used token was issued for. */
export interface OneTimeUse {
  readonly userId: string | null;
  readonly extra: Readonly<Record<string, unknown>>;
  /** Milliseconds since the epoch. */
  readonly issuedAt: number;
}

/** Issues and consumes tokens for one use, in the store and under the keys of a session manager. */
export interface OneTimeTokens {
  /** Makes a token for one purpose, as `reset-password`. One store write. */
  issue(purpose: string, options?: OneTimeOptions): Promise<string>;
  /**
   * Looks at a token without using it up: for the page that a link opens, since mail programs fetch links, too. Null
   * when it cannot be used for this purpose. One store read.
   */
  peek(purpose: string, token: string): Promise<OneTimeUse | null>;
  /**
   * Uses a token up: of any number of calls with one token, in any number of processes, exactly one gets an answer, and
   * the others null. Null as well when it is for another purpose (then it is not used up), expired, revoked or forged.
   * One store read and one write.
   */
  consume(purpose: string, token: string): Promise<OneTimeUse | null>;
  /** Ends all unused tokens of a user; answers how many. */
  revokeAll(userId: string): Promise<number>;
}

const USUAL_MS = 900_000;
/** As long as a tombstone stands: what was used must not be forgotten while it could be used again. */
const LONGEST_MS = TOMBSTONE_MS;

/** Makes the one-time tokens of a session manager. */
export function oneTimeTokens(sessions: SessionManager<never> | SessionManager<object>): OneTimeTokens {
  const engine = engineOf(sessions);
  engine.refuseCarrying("A one-time token");
  return {
    async issue(purpose, options = {}) {
      refuseUnknown(options, ["userId", "extra", "lifetime"], "issue.");
      const { userId, extra = {}, lifetime = USUAL_MS } = options;
      const absolute = checkLifetime(lifetime);
      const beginning = {
        awaiting: checkName(purpose, "purpose"),
        extra: checkExtra(extra, engine.options.bounds),
        lifetime: { idle: absolute, absolute },
        ...(userId !== undefined && { userId: checkId(userId, "userId") }),
      };
      const token = engine.mint(userId ?? null, "o1");
      await storeFirst(engine, sealFirst(engine, "o1", beginning, token).record, null);
      return token.text;
    },

    async peek(purpose, token) {
      const found = await find(engine, purpose, token);
      return found === null ? null : useOf(found);
    },

    async consume(purpose, token) {
      const found = await find(engine, purpose, token);
      if (found === null || !(await engine.consume(found.record))) return null;
      engine.events.emit("one-time-consumed", { purpose, userId: found.envelope.userId });
      return useOf(found);
    },

    async revokeAll(userId) {
      const owner = engine.vault.ownerOf(checkId(userId, "userId"), engine.vault.spaces.o1);
      return engine.calls.ask("deleteByOwner", owner, [], { reason: "revoked", at: engine.now() });
    },
  };
}

async function find(engine: Engine, purpose: string, token: string): Promise<Snapshot | null> {
  const wanted = checkName(purpose, "purpose");
  const opened = await engine.open(token, null, "o1");
  return opened.ok && opened.snapshot.envelope.awaiting === wanted ? opened.snapshot : null;
}

function useOf({ envelope }: Snapshot): OneTimeUse {
  return { userId: envelope.userId, extra: envelope.extra, issuedAt: envelope.createdAt };
}

function checkLifetime(lifetime: Duration): number {
  const milliseconds = parseDuration(lifetime, "issue.lifetime");
  if (milliseconds <= LONGEST_MS) return milliseconds;
  throw new OptionsError("issue.lifetime: at most a day.");
}
