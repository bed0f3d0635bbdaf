/** All users, for administrators. */
import type { Frame } from "../frame.ts";
import { Html, html } from "../html.ts";
import type { User } from "../users.ts";
import { accountArea } from "./account.ts";
import { buttonForm } from "./form.ts";
import { page } from "./layout.ts";
import { time } from "./time.ts";

/** A user, and how many sessions they have. */
export interface UserRow {
  readonly user: User;
  readonly sessions: number;
}

/** `next` is the address of the next page, null on the last. */
export function adminPage(admin: User, frame: Frame, rows: readonly UserRow[], next: string | null): Html {
  const body = html`<ul class="cards">
      ${rows.map((row) => userCard(frame, row, row.user.id === admin.id))}
    </ul>
    ${next === null ? html`` : html`<p><a href="${next}">More users</a></p>`}`;
  return page({ title: "Users", path: "/admin", frame, area: accountArea(admin), body });
}

function userCard(frame: Frame, { user, sessions }: UserRow, isSelf: boolean): Html {
  const { id, name, isAdmin, createdAt } = user;
  const address = `/admin/users/${id}`;
  const end = { action: `${address}/end-sessions`, text: "End all sessions", about: `of ${name}`, isFinal: true };
  const role = isAdmin
    ? { action: `${address}/role`, text: "Take the admin role", about: `from ${name}`, values: { admin: "no" } }
    : { action: `${address}/role`, text: "Give the admin role", about: `to ${name}`, values: { admin: "yes" } };
  return html`<li class="card">
    <h2>
      ${name} ${isAdmin ? html`<span class="tag">Administrator</span>` : html``}
      ${isSelf ? html`<span class="tag">You</span>` : html``}
    </h2>
    <dl>
      <dt>Sessions</dt>
      <dd data-sessions="${sessions}">${sessions}</dd>
      <dt>Since</dt>
      <dd>${time(createdAt)}</dd>
    </dl>
    ${isSelf ? html`` : html`<div class="row">${buttonForm(frame, end)} ${buttonForm(frame, role)}</div>`}
  </li>`;
}
