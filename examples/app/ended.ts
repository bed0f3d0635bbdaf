/** Why a visitor's session is over, in words. */
import type { RequestHandler } from "express";
import type { Refusal } from "symbolon";
import { refusalOf, sessionOf } from "symbolon/frameworks/express";
import { END_REASONS, type Sessions } from "./sessions.ts";

const WORDS: Readonly<Record<string, string>> = {
  evicted: "You were signed out here because you signed in on another device.",
  "stamp-changed": "You were signed out here because your password was changed.",
  [END_REASONS.byUser]: "You were signed out here from another of your devices.",
  [END_REASONS.byAdmin]: "You were signed out here by an administrator.",
  [END_REASONS.accountDeleted]: "You were signed out here because your account was deleted.",
};
const EXPIRED = "Your session ended because it was not used for a while, or was old. This is a new one.";
const OVER = "The session this browser had is over. This is a new one.";

/**
 * Tells a visitor whose session is over, and why, on the next page: here the request may be for any page or form, and
 * what follows may be a redirect.
 */
export function tellWhyEnded(sessions: Sessions): RequestHandler {
  return (request, _response, next) => {
    const words = wordsFor(refusalOf(request, sessions));
    if (words !== null) sessionOf(request, sessions).flash("ended", words);
    next();
  };
}

function wordsFor(refusal: Refusal | null): string | null {
  if (refusal === null) return null;
  const reason = refusal.ended?.reason ?? refusal.reason;
  // A request that was on its way while another logged in: the browser has the newer cookie, and nothing ended.
  if (reason === "replaced" || reason === "wrong-secret") return null;
  return reason === "expired" ? EXPIRED : (WORDS[reason] ?? OVER);
}
