/** The names that applications give to tables and schemas. */
import { OptionsError } from "../../errors.ts";

/** The table's name, unless told. */
export const DEFAULT_TABLE = "symbolon_sessions";

/** PostgreSQL cuts names at 63 characters; what is named after the table needs up to eleven more. */
const LONGEST = 48;

/**
 * Checks a name that becomes part of statements; one that passes needs no escaping inside quotes.
 *
 * @throws {OptionsError} when it is not a plain word.
 */
export function checkName(store: string, option: string, name: string): string {
  if (/^[A-Za-z_][A-Za-z0-9_]*$/.test(name) && name.length <= LONGEST) return name;
  throw new OptionsError(
    `${store}: \`${option}\` must be letters, digits and underscores, ${LONGEST} at most, and not start with a digit.`,
  );
}
