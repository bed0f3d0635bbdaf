/** Who may see which page. Mounted on routers, so that no spelling of a path leads around them. */
import type { Request, RequestHandler, Response } from "express";
import { requireFresh, requireRole, requireStamp, sessionOf } from "symbolon/frameworks/express";
import { sendProblem, sendThrough } from "./answers.ts";
import type { Services } from "./services.ts";
import type { User } from "./users.ts";

/** Lets users in who are logged in and whose password is still the one they logged in with; others to the login. */
export function behindLogin({ sessions, users }: Services): RequestHandler {
  return requireStamp<Request, Response>((userId) => users.find(userId)?.stamp ?? null, {
    sessions,
    onRefused(request, response) {
      sendThrough(request, response, "/login");
    },
  });
}

/** Behind `behindLogin`: who it is. */
export function userOf(request: Request, { sessions, users }: Services): User {
  const user = users.find(sessionOf(request, sessions).userId ?? "");
  if (user === null) throw new Error("The account was deleted while its page was made.");
  return user;
}

/** Behind `behindLogin`: lets administrators in. */
export function adminsOnly({ sessions }: Services): RequestHandler {
  return requireRole<Request, Response>("admin", {
    sessions,
    onRefused(_request, response) {
      sendProblem(response, 403, "Not for you", "This page is for administrators.");
    },
  });
}

/** Behind `behindLogin`: asks for the password again, unless it was typed no longer ago than this. */
export function recentPassword({ sessions }: Services, age: "5m" | "15m"): RequestHandler {
  return requireFresh<Request, Response>(age, {
    sessions,
    onRefused(request, response) {
      sendThrough(request, response, "/confirm");
    },
  });
}
