/** The pages of an account. */
import type { Frame } from "../frame.ts";
import { Html, html } from "../html.ts";
import type { User } from "../users.ts";
import { buttonForm, field, form } from "./form.ts";
import { type Link, page } from "./layout.ts";
import { knownName, newPassword, presentPassword } from "./login.ts";
import { time } from "./time.ts";

/** The pages a user has. */
export function accountArea({ isAdmin }: User): readonly Link[] {
  return [
    ["/account", "Account"],
    ["/devices", "Devices"],
    ["/account/password", "Password"],
    ...(isAdmin ? [["/admin", "Users"] as const] : []),
  ];
}

export function accountPage(user: User, frame: Frame): Html {
  const body = html`<div class="card">
      <dl>
        <dt>Name</dt>
        <dd>${user.name}</dd>
        <dt>Role</dt>
        <dd>${user.isAdmin ? "Administrator" : "User"}</dd>
        <dt>Since</dt>
        <dd>${time(user.createdAt)}</dd>
      </dl>
    </div>
    ${buttonForm(frame, { action: "/logout", text: "Log out" })}
    <p><a href="/account/delete">Delete this account</a></p>`;
  return page({ title: "Your account", path: "/account", frame, area: accountArea(user), body });
}

export function passwordPage(user: User, frame: Frame): Html {
  const fields = html`${knownName(user.name)} ${field(frame, presentPassword("present", "Present password"))}
    ${field(frame, newPassword("next", "New password"))} <button>Change password</button>`;
  const body = html`<p>All your other devices are signed out. This one stays logged in.</p>
    <div class="card">${form(frame, "/account/password", fields)}</div>`;
  return page({ title: "Change password", path: "/account/password", frame, area: accountArea(user), body });
}

export function deletePage(user: User, frame: Frame): Html {
  const body = html`<div class="card">
      <p>The account <strong>${user.name}</strong> goes, and all its sessions with it. There is no way back.</p>
      ${buttonForm(frame, { action: "/account/delete", text: "Delete account", isFinal: true })}
    </div>
    <p><a href="/account">Keep it</a></p>`;
  return page({ title: "Delete account", path: "/account/delete", frame, area: accountArea(user), body });
}
