import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { readToken } from "../../src/core/token.ts";
import { openSession } from "../../src/http/open-session.ts";
import { createSessionManager, generateKey, type SessionManager } from "../../src/index.ts";
import { type MemoryStore, memoryStore } from "../../src/stores/memory.ts";
import { spied } from "../support/stores.ts";

interface Case {
  readonly token?: string;
  readonly tokenJson?: unknown;
  readonly why: string;
}

const file = new URL("../vectors/hostile-tokens.json", import.meta.url);
const { cases } = JSON.parse(readFileSync(file, "utf8")) as { cases: readonly Case[] };

const ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

interface World {
  readonly sessions: SessionManager;
  readonly calls: string[];
  readonly inner: MemoryStore;
}

function world(key: string = generateKey()): World {
  const inner = memoryStore();
  const { store, calls } = spied(inner);
  return { sessions: createSessionManager({ store, keys: [key], bearer: true, pruneEvery: false }), calls, inner };
}

/** Everything that takes a token, as JavaScript would call it; answers what each made of it. */
async function presentEverywhere({ sessions }: World, token: unknown): Promise<Record<string, unknown>> {
  const call = (name: "validate" | "inspect" | "refresh" | "revokeToken"): Promise<unknown> =>
    Reflect.apply(sessions[name], sessions, [token]) as Promise<unknown>;
  const inspected = (await call("inspect")) as { ok: boolean };
  return {
    validate: await call("validate"),
    inspect: inspected.ok,
    refresh: await call("refresh"),
    revokeToken: await call("revokeToken"),
    ...(typeof token === "string" ? await presentInHeaders(sessions, token) : {}),
  };
}

async function presentInHeaders(sessions: SessionManager, token: string): Promise<Record<string, unknown>> {
  const answers: Record<string, unknown> = {};
  for (const [carrier, header, value] of [
    ["cookie", "cookie", `__Host-sid=${token}`],
    ["bearer", "authorization", `Bearer ${token}`],
  ] as const) {
    const opened = await openSession(sessions, { get: (name) => (name === header ? value : undefined) });
    answers[carrier] = [opened.session.id, opened.session.state, opened.session.data, await opened.commit()];
  }
  return answers;
}

const NOTHING = { validate: null, inspect: false, refresh: null, revokeToken: null };
const ANONYMOUS = [null, "anonymous", {}, []];
const NOTHING_IN_HEADERS = { ...NOTHING, cookie: ANONYMOUS, bearer: ANONYMOUS };

describe("a hostile token opens nothing and never reaches the store", () => {
  it.each(cases.map((entry, index) => ({ ...entry, index })))("case $index: $why", async ({ token, tokenJson }) => {
    const one = world();
    await one.sessions.create({ userId: "user-1" });
    one.calls.length = 0;
    const answers = await presentEverywhere(one, token === undefined ? tokenJson : token);
    expect(answers).toEqual(token === undefined ? NOTHING : NOTHING_IN_HEADERS);
    expect(one.calls).toEqual([]);
    expect(await one.sessions.count()).toBe(1);
  });

  it("has cases to run", () => {
    expect(cases.length).toBeGreaterThanOrEqual(39);
  });
});

/** Tokens that are almost a real one. */
function nearMisses(token: string): string[] {
  const body = token.slice(3);
  const misses = [
    ...["", "s2_", "s0_", "S1_", "s1-", "s1", "s1__", "t1_", "s1_s1_"].map((prefix) => prefix + body),
    ...[" ", "\t", "\n", "\0", "=", "A", "%", ".", '"', "\u00e9", "\ud83d\ude00"].flatMap((extra) => [
      token + extra,
      extra + token,
      token.slice(0, -1) + extra,
      extra + token.slice(1),
    ]),
    ...Array.from({ length: token.length }, (_, length) => token.slice(0, length)),
    ...Array.from({ length: token.length }, (_, at) => token.slice(0, at) + token.slice(at + 1)),
    `${token}=`,
    `${token}==`,
    `${token}${token}`,
    `"${token}"`,
    ` ${token} `,
    token.toLowerCase(),
    token.toUpperCase(),
    encodeURIComponent(` ${token}`),
    token.replace("_", "%5F"),
    Array.from(token, (character) => `%${character.charCodeAt(0).toString(16)}`).join(""),
    Buffer.from(body, "base64url").toString("base64"),
    `s1_${Buffer.from(body, "base64url").toString("base64")}`,
    `s1_${Buffer.from(body, "base64url").toString("hex")}`,
    `s1_${Array.from(body).toReversed().join("")}`,
  ];
  return misses.filter((miss) => miss !== token);
}

describe("a near miss of a real token", () => {
  it("opens nothing and never reaches the store, whichever character is changed to whatever", async () => {
    const one = world();
    const { token } = await one.sessions.create({ userId: "user-1", data: { secret: 1 } });
    expect(token).toHaveLength(83);
    one.calls.length = 0;
    let tried = 0;
    for (let at = 0; at < token.length; at++) {
      for (const character of `${ALPHABET}+/= %.~"\u00e9`) {
        if (character === token[at]) continue;
        const changed = token.slice(0, at) + character + token.slice(at + 1);
        expect(await one.sessions.validate(changed)).toBeNull();
        tried++;
      }
    }
    expect(tried).toBeGreaterThan(83 * 63);
    expect(one.calls).toEqual([]);
    expect(await one.sessions.validate(token)).not.toBeNull();
  });

  it("is answered everywhere as garbage is, after the real one was seen as well", async () => {
    const one = world();
    const { token } = await one.sessions.create({ userId: "user-1" });
    await one.sessions.validate(token);
    one.calls.length = 0;
    for (const miss of nearMisses(token)) {
      // A cookie or header line trims blanks around its value, so there these are the token itself.
      const spelledAlike = miss.trim() === token || miss.replace(/^[ \t]+|[ \t]+$/g, "") === token;
      if (spelledAlike) expect(await one.sessions.validate(miss)).toBeNull();
      else expect(await presentEverywhere(one, miss)).toEqual(NOTHING_IN_HEADERS);
    }
    expect(one.calls).toEqual([]);
    expect(await one.sessions.count()).toBe(1);
  });

  it("with '+' or '/' for '-' or '_' is another spelling, and so not a token", async () => {
    const one = world();
    let tried = 0;
    while (tried < 20) {
      const { token } = await one.sessions.create();
      const body = token.slice(3);
      const standard = body.replaceAll("-", "+").replaceAll("_", "/");
      if (standard === body) continue;
      one.calls.length = 0;
      expect(await one.sessions.inspect(`s1_${standard}`)).toEqual({ ok: false, reason: "malformed" });
      expect(one.calls).toEqual([]);
      tried++;
    }
  });
});

describe("a well-formed token that was never issued", () => {
  it("never reaches the store, in 100 000 tries", async () => {
    const key = generateKey();
    const one = world(key);
    const { token } = await one.sessions.create();
    // The right key id, which every holder of a token can read, so that the tag alone decides.
    const head = Buffer.from(token.slice(3), "base64url").subarray(0, 2);
    one.calls.length = 0;
    const bytes = Buffer.alloc(60);
    for (let round = 0; round < 100_000; round++) {
      crypto.getRandomValues(bytes);
      if (round % 2 === 0) head.copy(bytes);
      expect((await one.sessions.inspect(`s1_${bytes.toString("base64url")}`)).ok).toBe(false);
    }
    expect(one.calls).toEqual([]);
  });

  it("of another deployment, or of another namespace of this one, never reaches the store", async () => {
    const key = generateKey();
    const one = world(key);
    const other = world();
    const { token } = await other.sessions.create();
    expect(await presentEverywhere(one, token)).toEqual(NOTHING_IN_HEADERS);
    const neighbour = createSessionManager({ store: other.inner, keys: [key], namespace: "other", pruneEvery: false });
    const next = await neighbour.create();
    expect(await one.sessions.inspect(next.token)).toEqual({ ok: false, reason: "forged" });
    expect(one.calls).toEqual([]);
  });

  it("is refused whatever reads it: no value of any type makes the reader throw", () => {
    const one = world();
    const ring = { primary: undefined as never, byId: new Map() };
    const values = [
      undefined,
      null,
      0,
      Number.NaN,
      true,
      [],
      {},
      Symbol("x"),
      1n,
      () => "s1_",
      new String("s1_"),
      "s1_",
    ];
    for (const value of values) expect(readToken("s1", ring, "space", value)).toBe("malformed");
    expect(one.calls).toEqual([]);
  });
});
