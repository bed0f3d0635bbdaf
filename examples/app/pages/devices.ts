/** Where a user is logged in. */
import type { SessionInfo } from "symbolon";
import type { Frame } from "../frame.ts";
import { Html, html } from "../html.ts";
import type { User } from "../users.ts";
import { accountArea } from "./account.ts";
import { buttonForm } from "./form.ts";
import { page } from "./layout.ts";
import { time } from "./time.ts";

export function devicesPage(user: User, frame: Frame, sessions: readonly SessionInfo[], most: number): Html {
  const hasOthers = sessions.some(({ current }) => !current);
  const body = html`<p>You can be logged in on ${most} at once: the next one signs out the oldest.</p>
    <ul class="cards">
      ${sessions.map((session) => deviceCard(frame, session))}
    </ul>
    ${hasOthers ? buttonForm(frame, { action: "/devices/end-others", text: "Sign out all other devices", isFinal: true }) : html``}`;
  return page({ title: "Your devices", path: "/devices", frame, area: accountArea(user), body });
}

function deviceCard(frame: Frame, session: SessionInfo): Html {
  const { id, device, createdAt, lastSeenAt, remember, current } = session;
  const name = device?.name ?? "Unknown device";
  const button = current
    ? { action: "/logout", text: "Log out" }
    : { action: "/devices/end", text: "Sign out", about: name, isFinal: true, values: { id } };
  return html`<li class="card">
    <h2>${name}${current ? html` <span class="tag">This device</span>` : html``}</h2>
    <dl>
      <dt>Network</dt>
      <dd>${device?.network ?? "unknown"}</dd>
      <dt>Logged in</dt>
      <dd>${time(createdAt)}</dd>
      <dt>Last used</dt>
      <dd>${time(lastSeenAt)}</dd>
      <dt>Stays logged in</dt>
      <dd>${remember ? "yes" : "no"}</dd>
    </dl>
    ${buttonForm(frame, button)}
  </li>`;
}
