/** A history told session by session: which tokens each had, what was seen of it, and what ended it. */
import type { Entry, History, Span } from "./history.ts";

/** Something that ends a session, or may. */
export interface End {
  readonly entry: Entry;
  /** From here on it may be ended. */
  readonly from: number;
  /** By now it certainly was; null where nobody knows. */
  readonly by: number | null;
}

/** One session. */
export interface Story {
  readonly id: string;
  readonly user: string;
  /** The login that began it. */
  readonly begun: Entry;
  /** Its tokens, in the order in which they were handed out. */
  readonly tokens: readonly string[];
  /** What presented one of its tokens. */
  readonly presented: readonly Entry[];
  /** What was found in it by one of them. */
  readonly found: readonly Entry[];
  readonly looks: readonly Entry[];
  readonly ends: readonly End[];
}

/** Reasons for which a token is refused because its session is no more. */
const DEAD = new Set(["ended", "unknown", "reuse-detected"]);

/** The span in which an operation did what it did. */
export function deedOf({ closing, opening }: Entry): Span {
  return closing ?? opening;
}

/** Whether a token was refused because its session had ended. */
export function isRefusedAsDead({ refused }: Entry): boolean {
  return refused !== undefined && DEAD.has(refused);
}

/** All sessions of a history, in the order in which they were begun. */
export function storiesOf({ entries }: History): Story[] {
  const sessionOf = new Map<string, string>();
  for (const { given, begun, found } of entries) {
    const id = begun ?? found;
    if (given !== undefined && id !== undefined && !sessionOf.has(given)) sessionOf.set(given, id);
  }
  const logins = entries.filter(({ begun }) => begun !== undefined);
  return logins.map((login) => storyOf(login, entries, sessionOf));
}

function storyOf(begun: Entry, entries: readonly Entry[], sessionOf: ReadonlyMap<string, string>): Story {
  const id = begun.begun!;
  const { user } = begun;
  const presented = entries.filter((entry) => entry.presented !== null && sessionOf.get(entry.presented) === id);
  const story = {
    id,
    user,
    begun,
    tokens: [...sessionOf].filter(([, session]) => session === id).map(([token]) => token),
    presented,
    found: entries.filter(({ found }) => found === id),
    looks: entries.filter((entry) => entry.look !== undefined && entry.user === user),
  };
  return { ...story, ends: entries.flatMap((entry) => endBy(entry, story) ?? []) };
}

/** How an operation ends the session, or may; null where it does not. */
function endBy(entry: Entry, { id, user, begun, presented }: Omit<Story, "ends">): End | null {
  const { operation, found, session, opening, closing, hasEnded } = entry;
  const certain = (span: Span): End => ({ entry, from: span.from, by: span.until });
  switch (operation.does) {
    case "logout":
    case "login":
      return found === id && closing !== undefined ? certain(closing) : reuseBy(entry, presented);
    case "revoke":
      return session === id && entry.user === user ? certain(opening) : null;
    case "revokeAll": {
      if (entry.user !== user || deedOf(begun).from > opening.until) return null;
      const isLater = deedOf(begun).until < opening.from;
      return { entry, from: opening.from, by: isLater ? opening.until : null };
    }
    case "revokeToken":
      if (!presented.includes(entry)) return null;
      return { entry, from: opening.from, by: hasEnded === true ? opening.until : null };
    default:
      return reuseBy(entry, presented);
  }
}

/** An old token ends its session. `refresh` does not say why it gives no other. */
function reuseBy(entry: Entry, presented: readonly Entry[]): End | null {
  if (!presented.includes(entry)) return null;
  const { refused, operation, found, opening } = entry;
  if (refused === "reuse-detected") return { entry, from: opening.from, by: opening.until };
  return operation.does === "refresh" && found === undefined ? { entry, from: opening.from, by: null } : null;
}
