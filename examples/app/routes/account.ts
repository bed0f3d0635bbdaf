/** A user's own account. */
import { Router } from "express";
import { sessionOf } from "symbolon/frameworks/express";
import { redirect, sendBack, sendPage } from "../answers.ts";
import { problemsOf, rawField } from "../form.ts";
import { frameOf } from "../frame.ts";
import { behindLogin, recentPassword, userOf } from "../guards.ts";
import { accountPage, deletePage, passwordPage } from "../pages/account.ts";
import { problemOfPassword } from "../password.ts";
import type { Services } from "../services.ts";
import { END_REASONS } from "../sessions.ts";
import { WRONG_PASSWORD } from "../users.ts";

export function accountRoutes(services: Services): Router {
  const { sessions, users, audit } = services;
  const router = Router();
  router.use(behindLogin(services));

  router.get("/", (request, response) => {
    const frame = frameOf(sessionOf(request, sessions), "/account");
    sendPage(response, accountPage(userOf(request, services), frame));
  });

  router.get("/password", (request, response) => {
    const frame = frameOf(sessionOf(request, sessions), "/account/password");
    sendPage(response, passwordPage(userOf(request, services), frame));
  });

  router.post("/password", async (request, response) => {
    const session = sessionOf(request, sessions);
    const { id } = userOf(request, services);
    const next = rawField(request.body, "next");
    const problems = problemsOf(["next", problemOfPassword(next)]);
    const user = problems.length === 0 ? await users.changePassword(id, rawField(request.body, "present"), next) : null;
    if (user === null) {
      if (problems.length === 0) problems.push({ field: "present", text: WRONG_PASSWORD });
      return sendBack(response, session, { path: "/account/password", problems, typed: {} });
    }
    audit.note("password-changed", { userId: id });
    // Should this fail, the new stamp has signed everybody out, here too.
    await session.keepLogin(user.stamp);
    return redirect(response, "/account", session, "Your password is changed. Your other devices are signed out.");
  });

  router.use("/delete", recentPassword(services, "5m"));

  router.get("/delete", (request, response) => {
    const frame = frameOf(sessionOf(request, sessions), "/account/delete");
    sendPage(response, deletePage(userOf(request, services), frame));
  });

  router.post("/delete", async (request, response) => {
    const session = sessionOf(request, sessions);
    const user = users.remove(userOf(request, services).id);
    if (user === null) {
      return redirect(response, "/account", session, "You are the only administrator: make another one first.");
    }
    audit.note("account-deleted", { userId: user.id });
    await sessions.revokeAll(user.id, { except: session.id ?? [], reason: END_REASONS.accountDeleted });
    await session.logout();
    return redirect(response, "/", session, "Your account is deleted, and all its sessions have ended.");
  });

  return router;
}
