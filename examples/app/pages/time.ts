import { Html, html } from "../html.ts";

const TIME = new Intl.DateTimeFormat("en-GB", { dateStyle: "medium", timeStyle: "short", timeZone: "UTC" });

/** An instant, in milliseconds since the epoch. */
export function time(at: number | null): Html {
  if (at === null) return html`not yet`;
  return html`<time datetime="${new Date(at).toISOString()}">${TIME.format(at)} UTC</time>`;
}
