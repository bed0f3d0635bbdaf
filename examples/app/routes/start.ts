/** The start page: visits and notes of this browser's session, logged in or not. */
import { randomUUID } from "node:crypto";
import { Router } from "express";
import { sessionOf } from "symbolon/frameworks/express";
import { redirect, sendBack, sendPage } from "../answers.ts";
import { problemsOf, textField } from "../form.ts";
import { frameOf } from "../frame.ts";
import { NOTE_LENGTH, startPage } from "../pages/start.ts";
import type { Services } from "../services.ts";

const MAX_NOTES = 50;

export function startRoutes({ sessions, users }: Services): Router {
  const router = Router();

  router.get("/", async (request, response) => {
    const session = sessionOf(request, sessions);
    const counted = await session.update((data) => {
      data.visits = (data.visits ?? 0) + 1;
      data.notes ??= {};
    });
    // Another tab ended the session after this request had read it.
    if (counted === "gone") return redirect(response, "/ended");
    const user = session.userId === null ? null : users.find(session.userId);
    return sendPage(response, startPage(session, frameOf(session, "/"), user?.name ?? null));
  });

  router.post("/notes", async (request, response) => {
    const session = sessionOf(request, sessions);
    const note = textField(request.body, "note");
    const count = Object.keys(session.data.notes ?? {}).length;
    const problems = problemsOf(["note", problemOfNote(note, count)]);
    // What is far too long is cut before it is kept to be shown again.
    if (problems.length > 0)
      return sendBack(response, session, { path: "/", problems, typed: { note: note.slice(0, 1000) } });
    session.data.notes ??= {};
    session.data.notes[randomUUID()] = { text: note, at: Date.now() };
    // The binding saves, too; saving here tells whether the session still lives.
    return redirect(response, (await session.save()) === "gone" ? "/ended" : "/#notes");
  });

  return router;
}

function problemOfNote(note: string, count: number): string | null {
  if (note === "") return "Write something first.";
  if (note.length > NOTE_LENGTH) return `A note has at most ${NOTE_LENGTH} characters; this one has ${note.length}.`;
  return count < MAX_NOTES ? null : `There are ${MAX_NOTES} notes, and no more fit. End the session to begin anew.`;
}
