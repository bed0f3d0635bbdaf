/** SessionData: a session's data as one request sees it - opened, compared, replayed on newer data, sealed. */
import { digestBytes } from "../crypto/derive.ts";
import { ConflictError, NotSupportedError, RecordCorruptError } from "../errors.ts";
import { applyChanges, type Change, findChanges } from "./changes.ts";
import type { DataCodec } from "./data-codec.ts";
import type { Engine } from "./engine.ts";
import { type Envelope, type OpenedData, replacedError, type Snapshot, type SnapshotChange } from "./record.ts";
import type { Awaitable } from "./store.ts";
import { secretOf, verifierMatches } from "./token.ts";

type JsonObject = Record<string, unknown>;

/** The function of an `update`. */
export type DataChange = (data: JsonObject) => void | Promise<void>;

/** What a request wants of the data, fixed when its save begins: later changes belong to the next save. */
export interface DataIntent {
  /** The request's data as text; null when it changed none. */
  readonly mine: string | null;
  readonly baseline: string;
  readonly baseVersion: number;
  readonly change: DataChange | null;
}

/** What the data becomes with a write, and whether that differs from what is stored. */
export interface NextData {
  readonly text: string;
  readonly differs: boolean;
}

export class SessionData {
  /** The client's half of the key; null before there is one. */
  token: string | null;
  readonly #engine: Engine;
  /** Undefined until touched. */
  #value: JsonObject | undefined;
  /** The data as last read or written, as text; what `#value` is compared with. */
  #baseline = "{}";
  /** Which stored version of the data the baseline is. */
  #baseVersion = 0;
  #key: Buffer | null = null;
  /** What the token opened: the data key stays the same when others replace the token meanwhile. */
  readonly #opener: { readonly snapshot: Snapshot; readonly token: string } | null;
  /** Which token the session had when an access token opened it. */
  readonly #generation: number | undefined;
  /** Whether the function of an `update` is being called right now. */
  isChanging = false;

  constructor(engine: Engine, token: string | null, snapshot: Snapshot | null) {
    this.#engine = engine;
    this.token = token;
    this.#opener = snapshot === null || token === null ? null : { snapshot, token };
    this.#generation = snapshot?.envelope.generation;
  }

  /** The live object, opened on first use. */
  open(snapshot: Snapshot | null): JsonObject {
    if (this.#value !== undefined) return this.#value;
    const { codec, options } = this.#engine;
    const stored = snapshot === null ? null : this.#openStored(snapshot);
    const value = stored === null ? codec.initial() : load(codec, stored);
    // With a schema the loaded value may have defaults the stored text has not: they are no change of the request's.
    this.#baseline = stored !== null && options.schema === null ? stored.text : codec.encode(value);
    this.#baseVersion = snapshot?.envelope.dataVersion ?? 0;
    this.#value = value;
    return value;
  }

  /** Puts another object in place of the live one. */
  replace(value: JsonObject): void {
    this.#value = value;
  }

  /** Drops what was not written. */
  discard(): void {
    this.#value = undefined;
  }

  /** The data as text when it differs from the baseline, else null. */
  changedText(): string | null {
    const { codec } = this.#engine;
    return this.#value === undefined ? null : codec.changed(this.#value, this.#baseline);
  }

  /** Fixes what the request wants now. */
  intend(change: DataChange | null): DataIntent {
    return { mine: this.changedText(), baseline: this.#baseline, baseVersion: this.#baseVersion, change };
  }

  /** Checks the request's own data before it is written; what `change` makes of it is checked later. */
  check(intent: DataIntent): void {
    if (intent.mine !== null && intent.change === null) this.#engine.codec.checkSchema(this.#value);
  }

  /** The data of a session that is not stored yet; null when there is nothing to store. */
  async first({ mine, change }: DataIntent): Promise<string | null> {
    const { codec } = this.#engine;
    let text = mine;
    if (change !== null) {
      const draft = codec.parse(text ?? codec.encode(this.open(null)));
      await this.#run(change, draft);
      text = this.#finished(draft, null).text;
    }
    return text === this.#baseline ? null : text;
  }

  /** The data to stand on top of `current`; null when the write is not about data. At once, save with a function. */
  next(current: Snapshot, intent: DataIntent): Awaitable<NextData | null> {
    const { mine, change, baseVersion } = intent;
    if (change !== null) return this.#updated(current, intent, change);
    if (mine === null) return null;
    if (current.envelope.dataVersion === baseVersion) return { text: mine, differs: true };
    const { stored, draft } = this.#replayOn(current, intent);
    return this.#finished(draft, stored);
  }

  /** Seals the data for the next version of a record. */
  seal(current: Snapshot, envelope: Envelope, text: string): SnapshotChange {
    // A write may come before the first look at the data: its key is then still to be opened.
    if (this.#key === null) this.#openStored(current);
    const { vault, options } = this.#engine;
    const secret = this.#secretIn(current);
    const sealed = vault.sealData(current.record.lookup, envelope, text, {
      key: this.#key,
      secret,
      seal: options.seal,
    });
    this.#key = sealed.opened.key;
    return sealed;
  }

  /** Whether the token is still the session's, and no other has replaced it; or the one an access token was issued with. */
  isOpenedBy(snapshot: Snapshot): boolean {
    if (this.token === null) return snapshot.envelope.generation === this.#generation;
    return verifierMatches(digestBytes(secretOf(this.token)), snapshot.verifier);
  }

  /** Takes over what is stored now; what others wrote is brought into the live object, in place. */
  take(snapshot: Snapshot, intent: DataIntent, text: string): void {
    if (this.#value === undefined) return;
    const own = intent.mine ?? intent.baseline;
    if (text !== own) {
      const { codec } = this.#engine;
      const madeMeanwhile = this.#changesSince(this.#value, own);
      applyChanges(this.#value, findChanges(codec.parse(own), codec.parse(text)));
      applyChanges(this.#value, madeMeanwhile);
    }
    this.#baseline = text;
    this.#baseVersion = snapshot.envelope.dataVersion;
  }

  /** The secret of the session's token in a version of it; null where this one has no part in that. */
  #secretIn(snapshot: Snapshot): Buffer | null {
    const token = this.token === null ? null : this.#engine.tokenIn(snapshot, this.token);
    return token === null ? null : secretOf(token);
  }

  /** The stored data, null when there is none. */
  #openStored(snapshot: Snapshot): OpenedData | null {
    this.#refuseAccess(snapshot);
    if (snapshot.record.data === null) return null;
    const { vault } = this.#engine;
    const known = this.#key === null ? null : vault.openDataWith(this.#key, snapshot);
    if (known !== null) return known;
    // Nearly always it is the token's own; a wrong secret opens nothing.
    const own = this.token === null ? null : secretOf(this.token);
    const opened =
      vault.openData(snapshot, own) ??
      this.#openRotated(snapshot) ??
      vault.openData(snapshot, this.#presentIn(snapshot));
    if (opened === null) throw new RecordCorruptError("The data does not open.");
    this.#key = opened.key;
    return opened;
  }

  /** Split data is for whoever has the session's own token: an access token is no half of anything. */
  #refuseAccess({ envelope }: Snapshot): void {
    if (this.token !== null || (envelope.wrap?.seal ?? this.#engine.options.seal) === "server") return;
    throw new NotSupportedError("data: an access token does not open split data; set seal: 'server'.");
  }

  /** The secret of the session's token, by which data opens that others stored first, or under another key. */
  #presentIn(snapshot: Snapshot): Buffer {
    const secret = this.#secretIn(snapshot);
    if (secret === null) throw replacedError();
    return secret;
  }

  /** Opens the data of a session whose token was replaced since this request came: its key is the same. */
  #openRotated(snapshot: Snapshot): OpenedData | null {
    if (this.#opener === null) return null;
    const { vault } = this.#engine;
    const key = vault.dataKeyOf(this.#opener.snapshot, secretOf(this.#opener.token));
    return key === null ? null : vault.openDataWith(key, snapshot);
  }

  async #updated(current: Snapshot, intent: DataIntent, change: DataChange): Promise<NextData> {
    const { stored, draft } = this.#replayOn(current, intent);
    await this.#run(change, draft);
    return this.#finished(draft, stored);
  }

  async #run(change: DataChange, draft: JsonObject): Promise<void> {
    let running: void | Promise<void>;
    this.isChanging = true;
    try {
      running = change(draft);
    } finally {
      this.isChanging = false;
    }
    await running;
  }

  /** The stored data, and a copy of it with what this request changed. */
  #replayOn(
    current: Snapshot,
    { mine, baseline, baseVersion }: DataIntent,
  ): { readonly stored: string | null; readonly draft: JsonObject } {
    const { codec, options } = this.#engine;
    if (mine !== null && options.strict && current.envelope.dataVersion !== baseVersion) {
      throw new ConflictError("Another request changed the data meanwhile.");
    }
    const stored = this.#openStored(current);
    const draft = stored === null ? codec.initial() : load(codec, stored);
    if (mine !== null) applyChanges(draft, findChanges(codec.parse(baseline), codec.parse(mine)));
    return { stored: stored?.text ?? null, draft };
  }

  #finished(draft: JsonObject, stored: string | null): NextData {
    const { codec } = this.#engine;
    codec.checkSchema(draft);
    const text = codec.encode(draft);
    return { text, differs: text !== stored };
  }

  /** What the application changed while a save was under way; it belongs to the next one. */
  #changesSince(value: JsonObject, own: string): readonly Change[] {
    try {
      return findChanges(this.#engine.codec.parse(own), value);
    } catch {
      // Something that cannot be stored, as a cycle: the next save says so.
      return [];
    }
  }
}

/** Reads stored data as it was read before, where it was. */
function load(codec: DataCodec, stored: OpenedData): JsonObject {
  if (stored.isChecked) return codec.parse(stored.text);
  const value = codec.load(stored.text);
  stored.isChecked = codec.isPlain;
  return value;
}
