/** The pages, as functions of what they show. */
import { Html, html } from "./html.ts";

/** A note as it is kept in the session. */
export interface Note {
  readonly text: string;
  /** Milliseconds since the epoch. */
  readonly at: number;
}

/** What the start page shows of a session. */
export interface SessionView {
  readonly visits: number;
  readonly notes: readonly Note[];
  readonly handle: string | null;
  readonly createdAt: number | null;
  readonly expiresAt: number | null;
}

/** What went wrong with a form, and what the visitor had typed. */
export interface FormProblem {
  readonly problem: string;
  readonly typed: string;
}

/** The longest note, in characters. */
export const NOTE_LENGTH = 280;

/** The start page; without a session there is only the form. */
export function startPage(view: SessionView | null, notice: string | null, form: FormProblem | null): Html {
  return page("Your session", "/", [
    html`<h1>Your session</h1>`,
    notice === null ? html`` : html`<p class="notice" role="status">${notice}</p>`,
    view === null ? html`` : visitCard(view),
    notesCard(view?.notes ?? [], form),
    view === null ? html`` : endCard(),
  ]);
}

/** The page after the session was ended; it begins no new one. */
export function endedPage(): Html {
  return page("Session ended", "/ended", [
    html`<h1>Session ended</h1>
      <p class="notice" role="status">The server has ended your session, with its counter and its notes.</p>
      <p>The cookie is gone from this browser. Had somebody copied it before, the copy would open nothing any more.</p>
      <p><a href="/">Begin a new session</a></p>`,
  ]);
}

/** A page that does not touch the session: whoever only reads it gets no cookie. */
export function aboutPage(): Html {
  return page("About", "/about", [
    html`<h1>About this example</h1>
      <div class="card">
        <p>
          A <em>symbolon</em> was a token broken in two: each party kept a half, and only the matching halves proved who
          was who. Your browser keeps one half of your session in a cookie, the server keeps the other in its database.
          Only together do they open what you wrote.
        </p>
        <p>Try this on the <a href="/">start page</a>:</p>
        <ul>
          <li>Reload it: the counter rises. Stop the server and start it again: the counter goes on.</li>
          <li>Open it in two tabs and add a note in each: both are kept.</li>
          <li>End the session: the counter begins anew, and a copy of the old cookie opens nothing.</li>
        </ul>
      </div>
      <p class="soft">This page does not use the session, so a visitor who only reads it gets no cookie.</p>`,
  ]);
}

/** A page that says what went wrong. */
export function problemPage(title: string, explanation: string): Html {
  return page(title, null, [
    html`<h1>${title}</h1>
      <p>${explanation}</p>
      <p><a href="/">Back to the start page</a></p>`,
  ]);
}

function page(title: string, path: string | null, body: readonly Html[]): Html {
  const link = (to: string, text: string) =>
    to === path ? html`<a href="${to}" aria-current="page">${text}</a>` : html`<a href="${to}">${text}</a>`;
  return html`<!doctype html>
    <html lang="en">
      <head>
        <meta charset="utf-8" />
        <meta name="viewport" content="width=device-width, initial-scale=1" />
        <title>${title} · Symbolon example</title>
        <link rel="icon" href="/icon.svg" type="image/svg+xml" />
        <link rel="stylesheet" href="/style.css" />
      </head>
      <body>
        <header>
          <div class="brand"><img src="/icon.svg" alt="" />Symbolon example</div>
          <nav aria-label="Pages">${link("/", "Your session")} ${link("/about", "About")}</nav>
        </header>
        <main>${body}</main>
        <footer>Works without JavaScript. The one cookie is out of reach of scripts.</footer>
      </body>
    </html> `;
}

function visitCard({ visits, handle, createdAt, expiresAt }: SessionView): Html {
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
      <dd><code>${handle ?? "none yet"}</code></dd>
    </dl>
  </section>`;
}

function notesCard(notes: readonly Note[], form: FormProblem | null): Html {
  const newestFirst = notes.toSorted((one, other) => other.at - one.at);
  return html`<section class="card" aria-labelledby="notes">
    <h2 id="notes">Notes</h2>
    <form method="post" action="/notes">
      <label for="note">New note</label>
      <div class="field">
        <input
          id="note"
          name="note"
          required
          maxlength="${NOTE_LENGTH}"
          autocomplete="off"
          value="${form?.typed ?? ""}"
          ${form === null ? html`` : html`aria-invalid="true" aria-describedby="problem" autofocus`}
        />
        <button>Add note</button>
      </div>
      ${form === null ? html`` : html`<p class="problem" id="problem" role="alert">${form.problem}</p>`}
    </form>
    ${
      newestFirst.length === 0
        ? html`<p class="soft">No notes yet.</p>`
        : html`<ul class="notes">
            ${newestFirst.map((note) => html`<li>${note.text} ${time(note.at)}</li>`)}
          </ul>`
    }
  </section>`;
}

function endCard(): Html {
  return html`<section class="card" aria-labelledby="end">
    <h2 id="end">End the session</h2>
    <form method="post" action="/end">
      <p>Deletes the counter and the notes on the server, and the cookie in this browser.</p>
      <button class="quiet">End session</button>
    </form>
  </section>`;
}

const TIME = new Intl.DateTimeFormat("en-GB", { dateStyle: "medium", timeStyle: "medium", timeZone: "UTC" });

function time(at: number | null): Html {
  if (at === null) return html`not yet`;
  return html`<time datetime="${new Date(at).toISOString()}">${TIME.format(at)} UTC</time>`;
}
