/** The order of pages, and their cursors: text that says where the page before ended; opaque to everybody else. */

/** Where a page ended. Stores that page in another order put their own number or text here. */
export interface Position {
  readonly createdAt: number;
  readonly lookup: string;
}

/** The order of lists. */
export function newestFirst(a: Position, b: Position): number {
  return b.createdAt - a.createdAt || (a.lookup < b.lookup ? 1 : a.lookup > b.lookup ? -1 : 0);
}

/** Writes a position as text. */
export function encodeCursor({ createdAt, lookup }: Position): string {
  return `${createdAt}.${lookup}`;
}

/** Reads what `encodeCursor` wrote; null for any other text. */
export function decodeCursor(cursor: string): Position | null {
  const match = /^(\d{1,16})\.(.*)$/s.exec(cursor);
  return match === null ? null : { createdAt: Number(match[1]), lookup: match[2] ?? "" };
}
