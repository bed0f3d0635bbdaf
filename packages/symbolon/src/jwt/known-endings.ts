/** KnownEndings: what this process knows of sessions that ended while access tokens of them are still in the world. */
import type { EventHub, SessionEvent } from "../core/events.ts";
import type { Envelope } from "../core/record.ts";
import type { TokenId } from "./token-id.ts";

/** From when on tokens are refused: those issued up to `at`, or of a generation below `generation`. */
interface Ending {
  readonly at: number;
  readonly generation: number;
}

type SessionName = Pick<Envelope, "id" | "userId">;

const MOST = 100_000;
const FOR_GOOD = Number.POSITIVE_INFINITY;
const NEVER = Number.NEGATIVE_INFINITY;

/**
 * Listens to a manager's events, and remembers for as long as a token lives which are not to be taken any more. Where
 * it is told of many sessions at once, and when it would have to remember too much, it refuses more than it must: a
 * client then refreshes its token. Tokens of other processes are told apart by when they say that they were issued, so
 * as well as the clocks agree.
 */
export class KnownEndings {
  /** Longest the longest known first. Keys are `session/…` and `user/…`. */
  readonly #endings = new Map<string, Ending & { readonly knownAt: number }>();
  readonly #ttl: number;
  readonly #ahead: number;
  /** Tokens issued up to here are refused, whosesoever. */
  #allUpTo = NEVER;
  /** Up to when tokens of this process say that they were issued. */
  #issuedUpTo = NEVER;

  /** `ttl`: how long a token is valid; `ahead`: by how much a clock may be ahead of another. In ms. */
  constructor(events: EventHub, { ttl, ahead }: { readonly ttl: number; readonly ahead: number }) {
    this.#ttl = ttl + ahead;
    this.#ahead = ahead;
    events.on("*", (event: SessionEvent) => this.#note(event));
  }

  /** Whether a token is one of a session that ended, or went on without it; `issuedAt` in ms. */
  covers({ handle, generation }: Pick<TokenId, "handle" | "generation">, userId: string, issuedAt: number): boolean {
    const own = this.#endings.get(`session/${handle}`);
    return issuedAt <= this.#endedUpTo({ id: handle, userId }) || generation < (own?.generation ?? 0);
  }

  /** Whether a session may be one of those that ended. */
  mayHaveEnded(session: SessionName): boolean {
    return this.#endedUpTo(session) > NEVER;
  }

  /** When a token of a session is to say that it is issued, in ms: after all ends that are known, which then are not its. */
  issueTime(session: SessionName, now: number): number {
    const at = Math.max(now, this.#endedUpTo(session) + 1);
    if (at < FOR_GOOD) this.#issuedUpTo = Math.max(this.#issuedUpTo, at);
    return at;
  }

  /** Notes that a session has no token any more that was issued up to now. */
  noteEnd(handle: string, now: number): void {
    this.#remember(`session/${handle}`, { at: this.#reachOf(now), generation: 0 }, now);
  }

  /** Notes that a session goes on under tokens of this generation. */
  noteGeneration(handle: string, generation: number, now: number): void {
    this.#remember(`session/${handle}`, { at: NEVER, generation }, now);
  }

  #note(event: SessionEvent): void {
    switch (event.type) {
      case "logout":
      case "revoked":
      case "evicted":
      case "reuse-detected":
        return this.#noteGone(event.id, event.at);
      case "pin-mismatch":
        return event.action === "revoke" ? this.#noteGone(event.id, event.at) : undefined;
      case "login":
        return event.replaced === null ? undefined : this.#noteGone(event.replaced, event.at);
      case "rotated":
        return this.noteGeneration(event.id, event.generation, event.at);
      // `keepLogin` may open it again.
      case "stamp-changed":
      case "roles-changed":
        return this.noteEnd(event.id, event.at);
      case "revoked-many":
        return this.#noteMany(event.userId, event.at);
      default:
        return undefined;
    }
  }

  #noteGone(handle: string, now: number): void {
    this.#remember(`session/${handle}`, { at: FOR_GOOD, generation: 0 }, now);
  }

  #noteMany(userId: string | null, now: number): void {
    const at = this.#reachOf(now);
    if (userId === null) this.#allUpTo = Math.max(at, this.#allUpTo);
    else this.#remember(`user/${userId}`, { at, generation: 0 }, now);
  }

  #endedUpTo({ id, userId }: SessionName): number {
    const [own, others] = [this.#endings.get(`session/${id}`), this.#endings.get(`user/${userId}`)];
    return Math.max(this.#allUpTo, own?.at ?? NEVER, others?.at ?? NEVER);
  }

  /** An end has all tokens issued before it: those of the same millisecond, too, and of before the clock was set back. */
  #reachOf(now: number): number {
    return Math.max(now, Math.min(this.#issuedUpTo, now + this.#ahead));
  }

  #remember(key: string, { at, generation }: Ending, now: number): void {
    const known = this.#endings.get(key);
    // Again at the end of the line.
    this.#endings.delete(key);
    this.#endings.set(key, {
      at: Math.max(at, known?.at ?? NEVER),
      generation: Math.max(generation, known?.generation ?? 0),
      knownAt: now,
    });
    this.#forget(now);
  }

  /** Forgets what no living token can be of. */
  #forget(now: number): void {
    for (const [key, { knownAt }] of this.#endings) {
      const isOver = now - knownAt >= this.#ttl;
      if (!isOver && this.#endings.size <= MOST) return;
      this.#endings.delete(key);
      if (!isOver) this.#noteMany(null, now);
    }
  }
}
