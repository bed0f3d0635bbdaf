/** Flash messages of one request: added to, and taken from, those its session holds for the next page. */
import { randomBytes } from "node:crypto";
import { OptionsError } from "../errors.ts";
import { checkName } from "./checks.ts";
import type { Flash } from "./record.ts";

/** More than these are never shown to anybody: the oldest give way. */
const MAX_FLASHES = 8;
const MAX_TEXT = 300;
/** UTF-8 bytes of all together: the envelope has room for little more than 8000. */
const MAX_BYTES = 2500;

/** What a save writes of the messages; what comes later belongs to the next save. */
export interface FlashIntent {
  readonly added: readonly Flash[];
  readonly taken: ReadonlySet<string>;
}

/** The messages a request added and took, not yet written. */
export class Flashes {
  #added: Flash[] = [];
  #taken = new Set<string>();

  get isChanged(): boolean {
    return this.#added.length > 0 || this.#taken.size > 0;
  }

  /** @throws {OptionsError} when the text is not one of 1 to 300 characters. */
  add(kind: string, text: string): void {
    if (typeof text !== "string" || text === "" || text.length > MAX_TEXT) {
      throw new OptionsError(`flash: the text must have 1 to ${MAX_TEXT} characters.`);
    }
    this.#added.push([randomBytes(6).toString("base64url"), checkName(kind, "flash"), text]);
  }

  /** The texts of one kind, oldest first; each is handed out once. */
  take(kind: string, stored: readonly Flash[]): string[] {
    const taken = this.#next(stored, this.intend()).filter((flash) => flash[1] === kind);
    for (const [id] of taken) this.#taken.add(id);
    return taken.map(([, , text]) => text);
  }

  intend(): FlashIntent {
    return { added: [...this.#added], taken: new Set(this.#taken) };
  }

  /** What the session holds once an intent is written. */
  next(stored: readonly Flash[] | undefined, intent: FlashIntent): readonly Flash[] | undefined {
    const next = this.#next(stored ?? [], intent);
    return next.length === 0 ? undefined : next;
  }

  /** Forgets what was written. */
  settle({ added, taken }: FlashIntent): void {
    this.#added = this.#added.filter((flash) => !added.includes(flash));
    for (const id of taken) this.#taken.delete(id);
  }

  discard(): void {
    this.#added = [];
    this.#taken.clear();
  }

  #next(stored: readonly Flash[], { added, taken }: FlashIntent): readonly Flash[] {
    let next = [...stored, ...added].filter(([id]) => !taken.has(id)).slice(-MAX_FLASHES);
    while (Buffer.byteLength(JSON.stringify(next)) > MAX_BYTES) next = next.slice(1);
    return next;
  }
}
