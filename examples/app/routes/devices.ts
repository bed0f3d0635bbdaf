/** A user's own sessions: to see them, and to end them. */
import { Router } from "express";
import { sessionOf } from "symbolon/frameworks/express";
import { redirect, sendPage } from "../answers.ts";
import { rawField } from "../form.ts";
import { frameOf } from "../frame.ts";
import { behindLogin, userOf } from "../guards.ts";
import { devicesPage } from "../pages/devices.ts";
import type { Services } from "../services.ts";
import { END_REASONS } from "../sessions.ts";
import { MOST_DEVICES } from "../settings.ts";

export function deviceRoutes(services: Services): Router {
  const { sessions, devicesPerUser } = services;
  const router = Router();
  router.use(behindLogin(services));

  router.get("/", async (request, response) => {
    const session = sessionOf(request, sessions);
    const user = userOf(request, services);
    const page = await sessions.list({ userId: user.id, current: session.id, limit: MOST_DEVICES });
    sendPage(response, devicesPage(user, frameOf(session, "/devices"), page.sessions, devicesPerUser));
  });

  router.post("/end", async (request, response) => {
    const session = sessionOf(request, sessions);
    // Only sessions of this very user are found: another's handle is answered as an unknown one.
    const owner = await sessions.revoke(userOf(request, services).id, rawField(request.body, "id"), END_REASONS.byUser);
    const notice = owner === null ? "That device was signed out already." : "The device is signed out.";
    redirect(response, "/devices", session, notice);
  });

  router.post("/end-others", async (request, response) => {
    const session = sessionOf(request, sessions);
    const { id } = userOf(request, services);
    const count = await sessions.revokeAll(id, { except: session.id ?? [], reason: END_REASONS.byUser });
    redirect(
      response,
      "/devices",
      session,
      count === 1 ? "One device is signed out." : `${count} devices are signed out.`,
    );
  });

  return router;
}
