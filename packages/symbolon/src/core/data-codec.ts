/** Session data between the application's types and stored text: bounds, schema and upgrade in one place. */
import type { StandardSchemaV1 } from "@standard-schema/spec";
import { DataInvalidError, OptionsError } from "../errors.ts";
import { type Bounds, decodeData, encodeData } from "./data.ts";
import type { ResolvedOptions } from "./options.ts";

type JsonObject = Record<string, unknown>;

/** Turns text into data and back, with the manager's bounds and schema. */
export class DataCodec {
  readonly #bounds: Bounds;
  readonly #schema: StandardSchemaV1 | null;
  readonly #upgrade: ResolvedOptions["upgrade"];

  constructor(options: Pick<ResolvedOptions, "bounds" | "schema" | "upgrade">) {
    this.#bounds = options.bounds;
    this.#schema = options.schema;
    this.#upgrade = options.upgrade;
  }

  /** Whether text that was read once can be read by `parse` from then on: there is no schema to make something of it. */
  get isPlain(): boolean {
    return this.#schema === null;
  }

  /** The data of a session that has none yet: what the schema makes of `{}`, if it accepts it. */
  initial(): JsonObject {
    const result = this.#schema === null ? null : this.#validate(this.#schema, {});
    return result === null || result.issues !== undefined ? {} : (result.value as JsonObject);
  }

  /**
   * Reads stored text. Data of an older shape goes through `upgrade` once.
   *
   * @throws {DataInvalidError} when it fits neither bounds nor schema; never partial data.
   */
  load(text: string): JsonObject {
    const data = decodeData(text, this.#bounds);
    if (data === null) throw new DataInvalidError("", "Stored data is over the bounds.");
    if (this.#schema === null) return data;
    let result = this.#validate(this.#schema, data);
    if (result.issues !== undefined && this.#upgrade !== null) {
      result = this.#validate(this.#schema, this.#upgrade(data));
    }
    if (result.issues !== undefined) throw refusal(result.issues, "Stored data fails the schema; see upgrade");
    return result.value as JsonObject;
  }

  /** Reads text that this codec wrote, or has read before. */
  parse(text: string): JsonObject {
    return JSON.parse(text) as JsonObject;
  }

  /** Checks data and writes it as text; without the schema check when the text is only compared. */
  encode(data: unknown): string {
    return encodeData(data, this.#bounds);
  }

  /** Checks data and writes it as text; null when that is the text given. Unchanged data is not checked: it was before. */
  changed(data: unknown, baseline: string): string | null {
    const text = textOf(data);
    return text === baseline ? null : encodeData(data, this.#bounds, text);
  }

  /** @throws {DataInvalidError} when the schema refuses data about to be saved. */
  checkSchema(data: unknown): void {
    if (this.#schema === null) return;
    const { issues } = this.#validate(this.#schema, data);
    if (issues !== undefined) throw refusal(issues, "Session data fails the schema");
  }

  #validate(schema: StandardSchemaV1, data: unknown): StandardSchemaV1.Result<unknown> {
    const result = schema["~standard"].validate(data);
    if (result instanceof Promise) {
      // Somebody must own the promise's failure; its outcome is not used.
      result.catch(() => undefined);
      throw new OptionsError("schema: must validate synchronously.");
    }
    return result;
  }
}

/** Undefined for what has no text, or throws when it is asked for one: the check says why. */
function textOf(data: unknown): string | undefined {
  try {
    return JSON.stringify(data);
  } catch {
    return undefined;
  }
}

/** Names the place only: a schema's message may quote the data. */
function refusal(issues: readonly StandardSchemaV1.Issue[], what: string): DataInvalidError {
  const steps = issues[0]?.path ?? [];
  const path = steps.map((step) => String(typeof step === "object" ? step.key : step).slice(0, 60)).join(".");
  return new DataInvalidError(path, path === "" ? `${what}.` : `${what}, at ${path}.`);
}
