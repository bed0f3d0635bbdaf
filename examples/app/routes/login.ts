/** Log in, log out, and the password once more. */
import { Router } from "express";
import { sessionOf } from "symbolon/frameworks/express";
import { redirect, sendBack, sendPage } from "../answers.ts";
import { readLogin, safeReturn } from "../form.ts";
import { frameOf } from "../frame.ts";
import { behindLogin, userOf } from "../guards.ts";
import { logIn } from "../log-in.ts";
import { confirmPage, loginPage } from "../pages/login.ts";
import type { Services } from "../services.ts";
import { NO_MATCH, WRONG_PASSWORD } from "../users.ts";

export function loginRoutes(services: Services): Router {
  const { sessions, users, audit } = services;
  const router = Router();

  router.get("/login", (request, response) => {
    const session = sessionOf(request, sessions);
    const back = safeReturn(request.query);
    if (session.userId !== null) return redirect(response, back);
    return sendPage(response, loginPage(frameOf(session, "/login"), back));
  });

  router.post("/login", async (request, response) => {
    const session = sessionOf(request, sessions);
    const { name, password, remember, back } = readLogin(request.body);
    const user = await users.logIn(name, password);
    if (user === null) {
      audit.note("login-failed", { userId: users.findByName(name)?.id ?? null });
      const problems = [{ field: "name", text: NO_MATCH }];
      return sendBack(response, session, { path: "/login", problems, typed: { name, remember } }, back);
    }
    await logIn(session, users, user, remember !== "");
    return redirect(response, back);
  });

  router.get("/confirm", behindLogin(services), (request, response) => {
    const { name } = userOf(request, services);
    const frame = frameOf(sessionOf(request, sessions), "/confirm");
    sendPage(response, confirmPage(frame, name, safeReturn(request.query)));
  });

  router.post("/confirm", behindLogin(services), async (request, response) => {
    const session = sessionOf(request, sessions);
    const { id } = userOf(request, services);
    const { password, back } = readLogin(request.body);
    const user = await users.confirm(id, password);
    if (user === null) {
      audit.note("login-failed", { userId: id });
      const problems = [{ field: "password", text: WRONG_PASSWORD }];
      return sendBack(response, session, { path: "/confirm", problems, typed: {} }, back);
    }
    await logIn(session, users, user, session.remember);
    return redirect(response, back);
  });

  router.post("/logout", async (request, response) => {
    await sessionOf(request, sessions).logout();
    redirect(response, "/ended");
  });

  return router;
}
