/** Forms, and the fields in them. */
import type { Frame } from "../frame.ts";
import { Html, html } from "../html.ts";

/** A form that changes something. */
export function form(frame: Frame, action: string, content: Html): Html {
  return html`<form method="post" action="${action}">
    <input type="hidden" name="_csrf" value="${frame.csrfToken}" />
    ${content}
  </form>`;
}

/** A button that is a form of its own. */
export interface Button {
  readonly action: string;
  readonly text: string;
  /** Completes the text where several buttons have the same: it is read out, and not shown. */
  readonly about?: string;
  /** Whether what it does cannot be undone. */
  readonly isFinal?: boolean;
  /** What is sent besides. */
  readonly values?: Readonly<Record<string, string>>;
}

/** A form that is one button. */
export function buttonForm(frame: Frame, { action, text, about, isFinal = false, values = {} }: Button): Html {
  const more = about === undefined ? html`` : html`<span class="unseen"> ${about}</span>`;
  const fields = Object.entries(values).map(([name, value]) => hidden(name, value));
  return form(frame, action, html`${fields}<button class="${isFinal ? "danger" : "quiet"}">${text}${more}</button>`);
}

/** What a field is. Its name is its id, too. */
export interface Field {
  readonly name: string;
  readonly label: string;
  readonly type?: "text" | "password";
  readonly autocomplete: "off" | "username" | "current-password" | "new-password";
  readonly hint?: string;
  readonly least?: number;
  readonly most: number;
}

/** A field with its label, its hint, and its problem where there is one. */
export function field(frame: Frame, { name, label, type = "text", autocomplete, hint, least, most }: Field): Html {
  const problem = frame.problems.find((one) => one.field === name)?.text;
  const described = [
    ...(hint === undefined ? [] : [`${name}-hint`]),
    ...(problem === undefined ? [] : [`${name}-problem`]),
  ];
  return html`<div class="field">
    <label for="${name}">${label}</label>
    ${hint === undefined ? html`` : html`<p class="hint" id="${name}-hint">${hint}</p>`}
    ${problem === undefined ? html`` : html`<p class="problem" id="${name}-problem">${problem}</p>`}
    <input
      id="${name}"
      name="${name}"
      type="${type}"
      autocomplete="${autocomplete}"
      value="${type === "password" ? "" : (frame.typed[name] ?? "")}"
      maxlength="${most}"
      required
      ${least === undefined ? html`` : html`minlength="${least}"`}
      ${autocomplete === "username" ? html`autocapitalize="none" spellcheck="false"` : html``}
      ${described.length === 0 ? html`` : html`aria-describedby="${described.join(" ")}"`}
      ${problem === undefined ? html`` : html`aria-invalid="true"`}
    />
  </div>`;
}

/** A value that the form sends back as it is. */
export function hidden(name: string, value: string): Html {
  return html`<input type="hidden" name="${name}" value="${value}" />`;
}
