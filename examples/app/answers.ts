/** How routes answer: with a page, or with the way to one. */
import type { Request, Response } from "express";
import type { Session } from "symbolon";
import type { RefusedForm } from "./form.ts";
import type { Html } from "./html.ts";
import { problemPage } from "./pages/plain.ts";
import type { Visit } from "./sessions.ts";

/** Sends a page. */
export function sendPage(response: Response, page: Html): void {
  response.type("html").send(page.toString());
}

/** Sends a page that says what went wrong. */
export function sendProblem(response: Response, status: number, title: string, explanation: string): void {
  response.status(status);
  sendPage(response, problemPage(title, explanation));
}

/** After a form that was taken: to a page that can be reloaded, where the notice is shown once. */
export function redirect(response: Response, path: string, session?: Session<Visit>, notice?: string): void {
  if (notice !== undefined) session?.flash("notice", notice);
  response.redirect(303, path);
}

/** After a form that was not: back to it, where its problems are shown. `back` is where it leads in the end. */
export function sendBack(response: Response, session: Session<Visit>, form: RefusedForm, back?: string): void {
  session.data.refusedForm = form;
  response.redirect(303, `${back === undefined ? form.path : withReturn(form.path, back)}#problems`);
}

/** To a page that is in the way: from there it goes back to this one, or for a form to the first page of its area. */
export function sendThrough(request: Request, response: Response, path: string): void {
  const isPage = request.method === "GET" || request.method === "HEAD";
  response.redirect(303, withReturn(path, isPage ? request.originalUrl : request.baseUrl || "/account"));
}

function withReturn(path: string, back: string): string {
  return `${path}?return=${encodeURIComponent(back)}`;
}
