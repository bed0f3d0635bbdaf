/** KnownEndings: what this process knows of sessions that ended while access tokens of them are still in the world. */
import type { EventHub, SessionEvent } from "../core/events.ts";
import type { TokenId } from "./token-id.ts";

/** From when on tokens are refused: those issued up to `at`, or of a generation below `generation`. */
interface Ending {
  readonly at: number;
  readonly generation: number;
}

const MOST = 100_000;
const FOR_GOOD = Number.POSITIVE_INFINITY;

/**
 * Listens to a manager's events, and remembers for as long as a token lives which are not to be taken any more. Where
 * it is told of many sessions at once, and when it would have to remember too much, it refuses more than it must: a
 * client then refreshes its token.
 */
export class KnownEndings {
  /** Longest the longest known first. Keys are `session/…` and `user/…`. */
  readonly #endings = new Map<string, Ending & { readonly knownAt: number }>();
  readonly #ttl: number;
  /** Tokens issued up to here are refused, whosesoever. */
  #allUpTo = Number.NEGATIVE_INFINITY;

  /** `ttl`: how long a token lives, in ms. */
  constructor(events: EventHub, ttl: number) {
    this.#ttl = ttl;
    events.on("*", (event: SessionEvent) => this.#note(event));
  }

  /** Whether a token is one of a session that ended, or went on without it; `issuedAt` in ms. */
  covers({ handle, generation }: TokenId, userId: string, issuedAt: number): boolean {
    if (issuedAt <= this.#allUpTo) return true;
    const isOver = (ending: Ending | undefined): boolean =>
      ending !== undefined && (issuedAt <= ending.at || generation < ending.generation);
    return isOver(this.#endings.get(`session/${handle}`)) || isOver(this.#endings.get(`user/${userId}`));
  }

  /** Notes that a session goes on under a token of this generation. */
  noteGeneration(handle: string, generation: number, now: number): void {
    this.#remember(`session/${handle}`, { at: 0, generation }, now);
  }

  #note(event: SessionEvent): void {
    switch (event.type) {
      case "logout":
      case "revoked":
      case "evicted":
      case "reuse-detected":
      case "stamp-changed":
        return this.#remember(`session/${event.id}`, { at: FOR_GOOD, generation: 0 }, event.at);
      case "login":
        if (event.replaced === null) return undefined;
        return this.#remember(`session/${event.replaced}`, { at: FOR_GOOD, generation: 0 }, event.at);
      case "rotated":
        return this.noteGeneration(event.id, event.generation, event.at);
      case "roles-changed":
        return this.#remember(`session/${event.id}`, { at: event.at, generation: 0 }, event.at);
      case "revoked-many":
        if (event.userId === null) this.#allUpTo = event.at;
        else this.#remember(`user/${event.userId}`, { at: event.at, generation: 0 }, event.at);
        return undefined;
      default:
        return undefined;
    }
  }

  #remember(key: string, { at, generation }: Ending, now: number): void {
    const known = this.#endings.get(key);
    // Again at the end of the line.
    this.#endings.delete(key);
    this.#endings.set(key, {
      at: Math.max(at, known?.at ?? 0),
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
