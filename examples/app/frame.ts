import type { Session } from "symbolon";
import type { Problem } from "./form.ts";
import type { Visit } from "./sessions.ts";

/** What a page takes from the session besides its own content. */
export interface Frame {
  /** For the field `_csrf` of its forms: browsers that do not say where a form comes from are asked for it. */
  readonly csrfToken: string;
  readonly notices: readonly string[];
  /** Why the session before this one is over. */
  readonly ended: readonly string[];
  /** Of the form that was sent last, if it was this page's. */
  readonly problems: readonly Problem[];
  readonly typed: Readonly<Record<string, string>>;
}

/** Takes what is to be shown once. */
export function frameOf(session: Session<Visit>, path: string): Frame {
  const { refusedForm } = session.data;
  delete session.data.refusedForm;
  const form = refusedForm?.path === path ? refusedForm : { problems: [], typed: {} };
  return {
    csrfToken: session.csrfToken(),
    notices: session.flash("notice"),
    ended: session.flash("ended"),
    problems: form.problems,
    typed: form.typed,
  };
}
