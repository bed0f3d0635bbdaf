/** Page cursors: opaque text that says where the page before ended. */

/** Where a page ended. Stores that page in another order put their own number or text here. */
export interface Position {
  readonly createdAt: number;
  readonly lookup: string;
}

/** Writes a position as opaque text. */
export function encodeCursor(position: Position): string {
  return Buffer.from(JSON.stringify([position.createdAt, position.lookup])).toString("base64url");
}

/** Reads what `encodeCursor` wrote; null for any other text. */
export function decodeCursor(cursor: string): Position | null {
  const [createdAt, lookup, ...rest] = parseArray(cursor);
  if (!Number.isSafeInteger(createdAt) || typeof lookup !== "string" || rest.length > 0) return null;
  return { createdAt: Number(createdAt), lookup };
}

function parseArray(cursor: string): readonly unknown[] {
  try {
    const parsed: unknown = JSON.parse(Buffer.from(cursor, "base64url").toString());
    return Array.isArray(parsed) ? parsed : [];
  } catch {
    return [];
  }
}
