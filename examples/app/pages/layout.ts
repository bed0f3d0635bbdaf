/** What all pages look like. */
import type { Frame } from "../frame.ts";
import { Html, html } from "../html.ts";

/** A link of a navigation. */
export type Link = readonly [path: string, text: string];

/** What is particular to a page. */
export interface PageContent {
  readonly title: string;
  /** The page's own address, null where it has none. */
  readonly path: string | null;
  /** Left out on pages that do not touch the session. */
  readonly frame?: Frame;
  /** The pages beside this one. */
  readonly area?: readonly Link[];
  readonly body: Html;
}

const PAGES: readonly Link[] = [
  ["/", "Your session"],
  ["/account", "Account"],
  ["/about", "About"],
];

/** A whole page. */
export function page({ title, path, frame, area = [], body }: PageContent): Html {
  const hasProblems = (frame?.problems.length ?? 0) > 0;
  return html`<!doctype html>
    <html lang="en">
      <head>
        <meta charset="utf-8" />
        <meta name="viewport" content="width=device-width, initial-scale=1" />
        <title>${hasProblems ? "Problem: " : ""}${title} · Symbolon example</title>
        <link rel="icon" href="/icon.svg" type="image/svg+xml" />
        <link rel="stylesheet" href="/style.css" />
      </head>
      <body>
        <header>
          <div class="brand"><img src="/icon.svg" alt="" />Symbolon example</div>
          ${navigation("Pages", PAGES, path, area)}
        </header>
        <main>
          ${area.length === 0 ? html`` : navigation("Account pages", area, path)}
          <h1>${title}</h1>
          ${frame === undefined ? html`` : messages(frame)} ${body}
        </main>
        <footer>Works without JavaScript. The one cookie is out of reach of scripts.</footer>
      </body>
    </html> `;
}

/** The page itself is marked, and of the main pages the one whose area this is. */
function navigation(label: string, links: readonly Link[], path: string | null, area: readonly Link[] = []): Html {
  const areaPath = area[0]?.[0];
  const link = ([to, text]: Link): Html => {
    if (to === path) return html`<a href="${to}" aria-current="page">${text}</a>`;
    return to === areaPath ? html`<a href="${to}" aria-current="true">${text}</a>` : html`<a href="${to}">${text}</a>`;
  };
  return html`<nav aria-label="${label}">${links.map(link)}</nav>`;
}

function messages({ ended, notices, problems }: Frame): Html {
  return html`
    ${ended.map((text) => html`<p class="ended" role="status">${text}</p>`)}
    ${notices.map((text) => html`<p class="notice" role="status">${text}</p>`)}
    ${problems.length === 0 ? html`` : problemSummary(problems)}
  `;
}

/** The address ends in `#problems`, so that the summary has the focus. */
function problemSummary(problems: Frame["problems"]): Html {
  return html`<section class="problems" id="problems" tabindex="-1" role="alert" aria-labelledby="problems-title">
    <h2 id="problems-title">There is a problem</h2>
    <ul>
      ${problems.map(({ field, text }) => html`<li><a href="#${field}">${text}</a></li>`)}
    </ul>
  </section>`;
}
