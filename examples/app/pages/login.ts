/** The ways in: sign up, log in, and the password once more. */
import type { Frame } from "../frame.ts";
import { Html, html } from "../html.ts";
import { PASSWORD_LENGTH } from "../password.ts";
import { NAME_LENGTH } from "../user-name.ts";
import { type Field, field, form, hidden } from "./form.ts";
import { page } from "./layout.ts";

const NAME: Field = { name: "name", label: "Name", autocomplete: "username", most: NAME_LENGTH };

/** The present password, in a field of this name. */
export function presentPassword(name: string, label: string): Field {
  return { name, label, type: "password", autocomplete: "current-password", most: PASSWORD_LENGTH.most };
}

/** A password to be chosen, in a field of this name. */
export function newPassword(name: string, label: string): Field {
  const { least, most } = PASSWORD_LENGTH;
  const hint = `${least} characters or more. Several words are good.`;
  return { name, label, type: "password", autocomplete: "new-password", hint, least, most };
}

/** The name in a form that asks for a password only: password managers fill in by it. */
export function knownName(userName: string): Html {
  const silent = html`readonly tabindex="-1" aria-hidden="true"`;
  return html`<input class="unseen" name="name" value="${userName}" autocomplete="username" ${silent} />`;
}

/** `back` is where the visitor was going. */
export function loginPage(frame: Frame, back: string): Html {
  const fields = html`${hidden("return", back)} ${field(frame, NAME)}
    ${field(frame, presentPassword("password", "Password"))} ${rememberBox(frame)} <button>Log in</button>`;
  const body = html`<div class="card">${form(frame, "/login", fields)}</div>
    <p>No account yet? <a href="/signup?return=${encodeURIComponent(back)}">Sign up</a></p>`;
  return page({ title: "Log in", path: "/login", frame, body });
}

export function signupPage(frame: Frame, back: string): Html {
  const hint = "2 to 32 letters, digits, dots, dashes or underscores. Other users may see it.";
  const fields = html`${hidden("return", back)} ${field(frame, { ...NAME, hint })}
    ${field(frame, newPassword("password", "Password"))} ${rememberBox(frame)} <button>Sign up</button>`;
  const body = html`<div class="card">${form(frame, "/signup", fields)}</div>
    <p>Have an account? <a href="/login?return=${encodeURIComponent(back)}">Log in</a></p>`;
  return page({ title: "Sign up", path: "/signup", frame, body });
}

/** Asks a user who is logged in for the password again. */
export function confirmPage(frame: Frame, userName: string, back: string): Html {
  const fields = html`${hidden("return", back)} ${knownName(userName)}
    ${field(frame, presentPassword("password", "Password"))} <button>Go on</button>`;
  const body = html`<p>What you are about to do needs the password of <strong>${userName}</strong> once more.</p>
    <div class="card">${form(frame, "/confirm", fields)}</div>
    <p><a href="/account">Back to your account</a></p>`;
  return page({ title: "Is it still you?", path: "/confirm", frame, body });
}

function rememberBox({ typed }: Frame): Html {
  return html`<div class="check">
    <input id="remember" name="remember" type="checkbox" value="yes" ${typed["remember"] ? html`checked` : html``} />
    <label for="remember">Stay logged in on this device when the browser is closed</label>
  </div>`;
}
