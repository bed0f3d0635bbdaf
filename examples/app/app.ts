/** The routes: what each does with the session. */
import { randomUUID } from "node:crypto";
import express, { type ErrorRequestHandler, type Express, type Response } from "express";
import type { Session, SessionManager } from "symbolon";
import { expressSession, refusalOf, sessionOf } from "symbolon/frameworks/express";
import type { Html } from "./html.ts";
import {
  aboutPage,
  endedPage,
  type FormProblem,
  type Note,
  NOTE_LENGTH,
  problemPage,
  type SessionView,
  startPage,
} from "./page.ts";
import { requireSameOrigin } from "./same-origin.ts";
import { ICON, STYLE } from "./style.ts";

/** What this application keeps in a session. */
export interface Visit {
  visits?: number;
  /** By a key of its own each, so that notes added at the same time are all kept. */
  notes?: Record<string, Note>;
}

const MAX_NOTES = 50;

const PAGE_HEADERS = {
  "Content-Security-Policy":
    "default-src 'none'; style-src 'self'; img-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
  "Referrer-Policy": "same-origin",
  "X-Content-Type-Options": "nosniff",
};

/** Makes the application. `scheme` is what visitors use, be it spoken by a proxy. */
export function createApp(sessions: SessionManager<Visit>, scheme: "http" | "https"): Express {
  const app = express();
  app.disable("x-powered-by");
  app.use((_request, response, next) => {
    response.set(PAGE_HEADERS);
    next();
  });
  app.get("/style.css", (_request, response) => void response.type("text/css").send(STYLE));
  app.get("/icon.svg", (_request, response) => void response.type("image/svg+xml").send(ICON));

  app.use(expressSession(sessions));

  app.get("/", async (request, response) => {
    const session = sessionOf(request, sessions);
    const counted = await session.update((data) => {
      data.visits = (data.visits ?? 0) + 1;
      data.notes ??= {};
    });
    // Another tab ended the session after this request had read it.
    if (counted === "gone") return response.redirect(303, "/ended");
    const notice =
      refusalOf(request, sessions) === null ? null : "The session this browser had is over. This is a new one.";
    return sendPage(response, startPage(viewOf(session), notice, null));
  });

  app.get("/about", (_request, response) => sendPage(response, aboutPage()));
  app.get("/ended", (_request, response) => sendPage(response, endedPage()));

  const ownPage = requireSameOrigin(scheme);
  const form = express.urlencoded({ extended: false, limit: "8kb" });

  app.post("/notes", ownPage, form, async (request, response) => {
    const session = sessionOf(request, sessions);
    const typed = textOf(request.body);
    const problem = problemOf(typed, session);
    if (problem !== null) {
      response.status(422);
      const view = session.id === null ? null : viewOf(session);
      return sendPage(response, startPage(view, null, { problem, typed }));
    }
    session.data.notes ??= {};
    session.data.notes[randomUUID()] = { text: typed, at: Date.now() };
    // The binding saves, too; saving here tells whether the session still lives.
    if ((await session.save()) === "gone") return response.redirect(303, "/ended");
    return response.redirect(303, "/#notes");
  });

  app.post("/end", ownPage, form, async (request, response) => {
    await sessionOf(request, sessions).logout();
    response.redirect(303, "/ended");
  });

  app.use((_request, response) => {
    response.status(404);
    sendPage(response, problemPage("Page not found", "There is nothing at this address."));
  });
  app.use(answerError);
  return app;
}

function sendPage(response: Response, page: Html): void {
  response.type("html").send(page.toString());
}

function viewOf(session: Session<Visit>): SessionView {
  return {
    visits: session.data.visits ?? 0,
    notes: Object.values(session.data.notes ?? {}),
    handle: session.id,
    createdAt: session.createdAt,
    expiresAt: session.expiresAt,
  };
}

function textOf(body: unknown): string {
  const note = typeof body === "object" && body !== null && "note" in body ? body.note : "";
  return typeof note === "string" ? note.replaceAll(/\p{Cc}+/gu, " ").trim() : "";
}

function problemOf(typed: string, session: Session<Visit>): FormProblem["problem"] | null {
  if (typed === "") return "Write something first.";
  if (typed.length > NOTE_LENGTH) return `A note has at most ${NOTE_LENGTH} characters; this one has ${typed.length}.`;
  const count = Object.keys(session.data.notes ?? {}).length;
  return count < MAX_NOTES ? null : `There are ${MAX_NOTES} notes, and no more fit. End the session to begin anew.`;
}

/** Errors of the library and of Express name their status. What they say is for the log, not for the visitor. */
const answerError: ErrorRequestHandler = (error: unknown, _request, response, next) => {
  if (response.headersSent) return next(error);
  const named = typeof error === "object" && error !== null && "status" in error ? Number(error.status) : 500;
  const status = named >= 400 && named <= 599 ? named : 500;
  if (status >= 500) console.error(error);
  response.status(status);
  if (status === 503) response.set("Retry-After", "5");
  const [title, explanation] =
    status < 500
      ? ["Not understood", "The server could not make sense of this request."]
      : ["Something went wrong", "Nothing was saved. Please try again in a moment."];
  sendPage(response, problemPage(title, explanation));
};
