/** HTML as a tagged template: every value is escaped, unless it is HTML made here. */

/** A piece of HTML, safe to send. */
export class Html {
  readonly #text: string;

  constructor(text: string) {
    this.#text = text;
  }

  toString(): string {
    return this.#text;
  }
}

/** What may stand in a template. */
export type HtmlValue = string | number | Html | readonly Html[];

/** Makes HTML; use quotes around attribute values. */
export function html(literals: TemplateStringsArray, ...values: readonly HtmlValue[]): Html {
  const parts = literals.map((literal, index) => (index === 0 ? literal : render(values[index - 1] ?? "") + literal));
  return new Html(parts.join(""));
}

function render(value: HtmlValue): string {
  if (value instanceof Html) return value.toString();
  if (typeof value === "object") return value.join("");
  return String(value).replaceAll(/[&<>"']/g, (character) => `&#${character.charCodeAt(0)};`);
}
