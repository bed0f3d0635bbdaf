/** KnownEndings: what this process knows of sessions that ended while access tokens of them are still in the world. */
import type { EventHub, SessionEvent } from "../core/events.ts";
import type { Envelope } from "../core/record.ts";
import type { TokenId } from "./token-id.ts";

/** From when on tokens are refused: those issued up to `at`, or of a generation below `generation`. */
interface Ending {
  readonly at: number;
  readonly generation: number;
}

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
  /** Tokens issued up to here are refused, whosesoever. */
  #allUpTo = NEVER;

  /** `ttl`: how long a token can be in the world, in ms. */
  constructor(events: EventHub, ttl: number) {
    this.#ttl = ttl;
    events.on("*", (event: SessionEvent) => this.#note(event));
  }

  /** Whether a token is one of a session that ended, or went on without it; `issuedAt` in ms. */
  covers({ handle, generation }: Pick<TokenId, "handle" | "generation">, userId: string, issuedAt: number): boolean {
    const own = this.#endings.get(`session/${handle}`);
    return issuedAt <= this.endedUpTo({ id: handle, userId }) || generation < (own?.generation ?? 0);
  }

  /** Up to when a session, or many together, are known to have ended, in ms; minus infinity where nothing is known. */
  endedUpTo({ id, userId }: Pick<Envelope, "id" | "userId">): number {
    const [own, others] = [this.#endings.get(`session/${id}`), this.#endings.get(`user/${userId}`)];
    return Math.max(this.#allUpTo, own?.at ?? NEVER, others?.at ?? NEVER);
  }

  /** Notes that a session has no token any more that was issued up to now. */
  noteEnd(handle: string, now: number): void {
    this.#remember(`session/${handle}`, { at: now, generation: 0 }, now);
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
    if (userId === null) this.#allUpTo = Math.max(now, this.#allUpTo + 1);
    else this.#remember(`user/${userId}`, { at: now, generation: 0 }, now);
  }

  #remember(key: string, { at, generation }: Ending, now: number): void {
    const known = this.#endings.get(key);
    // Again at the end of the line.
    this.#endings.delete(key);
    this.#endings.set(key, {
      // Of two ends in one millisecond the later one has the tokens issued between them, too.
      at: at === NEVER ? (known?.at ?? NEVER) : Math.max(at, (known?.at ?? NEVER) + 1),
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
      if (!isOver) this.#allUpTo = Math.max(this.#allUpTo, now);
    }
  }
}
