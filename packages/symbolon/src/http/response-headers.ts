/** The headers that keep a response with a session out of shared caches. */

const PRIVATE = "private, no-store";
// Unclosed quotes run to the end: what stands inside them is no directive, whichever way a cache recovers.
const QUOTED = /"(?:[^"\\]|\\.)*"?/g;
const NO_STORE = /^[ \t]*no-store[ \t]*$/i;

/**
 * Decides the `Cache-Control` of a response that sets or depends on a session: the application's own value when it holds
 * the directive `no-store` (RFC 9111 section 5.2.2.5), else `private, no-store`.
 */
export function cacheControlFor(existing: string | null | undefined): string {
  if (existing === null || existing === undefined) return PRIVATE;
  const directives = existing.replace(QUOTED, '""').split(",");
  return directives.some((directive) => NO_STORE.test(directive)) ? existing : PRIVATE;
}

/** Adds one or several fields to `Vary` (RFC 9110 section 12.5.5), but those it has in whatever case, and none to `*`. */
export function varyWith(existing: string | readonly string[] | null | undefined, fields: string): string {
  if (existing === null || existing === undefined) return fields;
  const list = typeof existing === "string" ? existing : existing.join(", ");
  const present = membersOf(list.toLowerCase());
  if (present.includes("*")) return list;
  const missing = membersOf(fields).filter((field) => !present.includes(field.toLowerCase()));
  return present.length === 0 ? missing.join(", ") : [list, ...missing].join(", ");
}

function membersOf(list: string): string[] {
  const members = list.split(",").map((member) => member.trim());
  return members.filter((member) => member !== "");
}
