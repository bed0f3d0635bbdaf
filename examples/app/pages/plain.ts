/** Pages that do not touch the session: whoever only reads them gets no cookie. */
import { Html, html } from "../html.ts";
import { page } from "./layout.ts";

/** What this is. */
export function aboutPage(): Html {
  const body = html`<div class="card">
      <p>
        A <em>symbolon</em> was a token broken in two: each party kept a half, and only the matching halves proved who
        was who. Your browser keeps one half of your session in a cookie, the server keeps the other in its database.
        Only together do they open what you wrote.
      </p>
      <p>Try this:</p>
      <ul>
        <li>Reload the <a href="/">start page</a>: the counter rises. Restart the server: the counter goes on.</li>
        <li>Open it in two tabs and add a note in each: both are kept.</li>
        <li><a href="/signup">Sign up</a>. Log in with a second browser, and sign one out from the other.</li>
        <li>Log in with a third: the oldest gives way, and is told why.</li>
        <li>Change your password: the other browsers are signed out, this one is not.</li>
      </ul>
    </div>
    <p class="soft">This page does not use the session, so a visitor who only reads it gets no cookie.</p>`;
  return page({ title: "About this example", path: "/about", body });
}

/** After logging out; it begins no new session. */
export function endedPage(): Html {
  const body = html`<p class="notice" role="status">
      The server has ended your session, with its counter and its notes.
    </p>
    <p>The cookie is gone from this browser. Had somebody copied it before, the copy would open nothing any more.</p>
    <p><a href="/">Begin a new session</a> or <a href="/login">log in</a></p>`;
  return page({ title: "Session ended", path: "/ended", body });
}

/** What went wrong. */
export function problemPage(title: string, explanation: string): Html {
  const body = html`<p>${explanation}</p>
    <p><a href="/">Back to the start page</a></p>`;
  return page({ title, path: null, body });
}
