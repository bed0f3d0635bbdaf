/** The names users log in with. */

/** The longest name, in characters. */
export const NAME_LENGTH = 32;

const NAME = /^[a-z0-9][a-z0-9._-]{1,31}$/;

/** Names are compared, and kept, in lower case. */
export function normalName(typed: string): string {
  return typed.toLowerCase();
}

/** What is wrong with a new name; null when it will do. */
export function problemOfName(name: string): string | null {
  return NAME.test(name) ? null : "Choose a name of 2 to 32 letters, digits, dots, dashes or underscores.";
}
