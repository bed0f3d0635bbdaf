/** Why the application cannot start, in one line that says what to do about it. */
export class StartError extends Error {}

/** The text of whatever was thrown, without a stack. */
export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
