/** The start page: what the session of this browser holds. */
import type { Session } from "symbolon";
import type { Frame } from "../frame.ts";
import { Html, html } from "../html.ts";
import type { Note, Visit } from "../sessions.ts";
import { buttonForm, field, form } from "./form.ts";
import { page } from "./layout.ts";
import { time } from "./time.ts";

/** The longest note, in characters. */
export const NOTE_LENGTH = 280;

/** `userName` is null for a visitor who is not logged in. */
export function startPage(session: Session<Visit>, frame: Frame, userName: string | null): Html {
  const notes = Object.values(session.data.notes ?? {});
  const body = html`${userCard(frame, userName)} ${visitCard(session)} ${notesCard(frame, notes)}
  ${userName === null ? endCard(frame) : html``}`;
  return page({ title: "Your session", path: "/", frame, body });
}

function userCard(frame: Frame, userName: string | null): Html {
  if (userName === null) {
    return html`<p><a href="/login">Log in</a> or <a href="/signup">sign up</a>: your notes come along.</p>`;
  }
  return html`<div class="card row">
    <p>Logged in as <strong>${userName}</strong>. <a href="/account">Your account</a></p>
    ${buttonForm(frame, { action: "/logout", text: "Log out" })}
  </div>`;
}

function visitCard({ data, id, createdAt, expiresAt }: Session<Visit>): Html {
  const visits = data.visits ?? 0;
  return html`<section class="card" aria-labelledby="visits">
    <h2 id="visits">Visits</h2>
    <p class="count" data-visits="${visits}">${visits}</p>
    <p>${visits === 1 ? "time" : "times"} opened in this session. Reload the page to see it rise.</p>
    <dl>
      <dt>Began</dt>
      <dd>${time(createdAt)}</dd>
      <dt>Ends, if not used</dt>
      <dd>${time(expiresAt)}</dd>
      <dt>Public handle</dt>
      <dd><code>${id ?? "none yet"}</code></dd>
    </dl>
  </section>`;
}

function notesCard(frame: Frame, notes: readonly Note[]): Html {
  const newestFirst = notes.toSorted((one, other) => other.at - one.at);
  const input = field(frame, { name: "note", label: "New note", autocomplete: "off", most: NOTE_LENGTH });
  return html`<section class="card" aria-labelledby="notes">
    <h2 id="notes">Notes</h2>
    ${form(frame, "/notes", html`${input} <button>Add note</button>`)}
    ${newestFirst.length === 0 ? html`<p class="soft">No notes yet. They are kept in this session only.</p>` : noteList(newestFirst)}
  </section>`;
}

function noteList(notes: readonly Note[]): Html {
  return html`<ul class="list">
    ${notes.map(({ text, at }) => html`<li>${text} ${time(at)}</li>`)}
  </ul>`;
}

function endCard(frame: Frame): Html {
  return html`<section class="card" aria-labelledby="end">
    <h2 id="end">End the session</h2>
    <p>Deletes the counter and the notes on the server, and the cookie in this browser.</p>
    ${buttonForm(frame, { action: "/logout", text: "End session", isFinal: true })}
  </section>`;
}
