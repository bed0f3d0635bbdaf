/** All users, for administrators. */
import { Router } from "express";
import { sessionOf } from "symbolon/frameworks/express";
import { redirect, sendPage } from "../answers.ts";
import { rawField } from "../form.ts";
import { frameOf } from "../frame.ts";
import { adminsOnly, behindLogin, recentPassword, userOf } from "../guards.ts";
import { adminPage, type UserRow } from "../pages/admin.ts";
import type { Services } from "../services.ts";
import { END_REASONS } from "../sessions.ts";
import { rolesOf } from "../users.ts";

const PAGE_LENGTH = 50;

export function adminRoutes(services: Services): Router {
  const { sessions, users, audit } = services;
  const router = Router();
  router.use(behindLogin(services), adminsOnly(services), recentPassword(services, "15m"));

  router.get("/", async (request, response) => {
    const listed = users.list(rawField(request.query, "after"), PAGE_LENGTH);
    const rows: UserRow[] = [];
    for (const user of listed) rows.push({ user, sessions: await sessions.count({ userId: user.id }) });
    const next = listed.length < PAGE_LENGTH ? null : `/admin?after=${listed.at(-1)?.name ?? ""}`;
    const frame = frameOf(sessionOf(request, sessions), "/admin");
    sendPage(response, adminPage(userOf(request, services), frame, rows, next));
  });

  router.post("/users/:id/end-sessions", async (request, response) => {
    const count = await sessions.revokeAll(request.params.id, { reason: END_REASONS.byAdmin });
    redirect(response, "/admin", sessionOf(request, sessions), `Sessions ended: ${count}.`);
  });

  router.post("/users/:id/role", async (request, response) => {
    const session = sessionOf(request, sessions);
    const isAdmin = rawField(request.body, "admin") === "yes";
    const user = users.setAdmin(request.params.id, isAdmin);
    if (user === null) return redirect(response, "/admin", session, "That user is gone, or the only administrator.");
    audit.note(isAdmin ? "admin-given" : "admin-taken", { userId: user.id, by: session.userId });
    // First the table, then the open sessions: a login between the two finds the table changed.
    await sessions.updateAll(user.id, { roles: rolesOf(user) });
    return redirect(response, "/admin", session, `${user.name} is ${isAdmin ? "an" : "no"} administrator now.`);
  });

  return router;
}
