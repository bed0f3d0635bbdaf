/** Tokens are random, carry no meaning, and a wrong secret changes nothing. */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { spawnSync } from "node:child_process";
import { fileURLToPath, pathToFileURL } from "node:url";
import { describe, expect, it } from "vitest";
import { engineOf } from "../../src/core/manager.ts";
import { mintToken, readToken, remintToken } from "../../src/core/token.ts";
import { createKeyring, generateKey } from "../../src/crypto/keyring.ts";
import { createSessionManager, tokenPattern } from "../../src/index.ts";
import { memoryStore } from "../../src/stores/memory.ts";
import { spied } from "../support/stores.ts";

const { primary } = createKeyring([generateKey()]);
const bytesOf = (token: string): Buffer => Buffer.from(token.slice(3), "base64url");

/** How often each bit is set in so many tokens, save those of the key id, which is the same in all. */
function bitCounts(tokens: readonly Buffer[]): Uint32Array {
  const counts = new Uint32Array(60 * 8);
  for (const bytes of tokens) {
    for (let bit = 0; bit < counts.length; bit++) {
      counts[bit] = (counts[bit] ?? 0) + (((bytes[bit >> 3] ?? 0) >> (bit & 7)) & 1);
    }
  }
  return counts.subarray(16);
}

/** How many bytes the tokens of each pair have in common at the same place, in all; the key id does not count. */
function sharedBytes(pairs: readonly (readonly [Buffer, Buffer])[]): number {
  let shared = 0;
  for (const [one, other] of pairs) {
    for (let at = 2; at < 60; at++) if (one[at] === other[at]) shared++;
  }
  return shared;
}

describe("100 000 tokens of one user", () => {
  const tokens = Array.from({ length: 100_000 }, () => mintToken("s1", primary, "A".repeat(11), 0x123456));

  it("are all different, and so are their ids, secrets and lookups", () => {
    for (const of of ["text", "handle", "lookup"] as const) {
      expect(new Set(tokens.map((token) => token[of])).size).toBe(tokens.length);
    }
    expect(new Set(tokens.map(({ secret }) => secret.toString("latin1"))).size).toBe(tokens.length);
  });

  it("have every bit set half of the time: route and tag too, which are masked", () => {
    const counts = bitCounts(tokens.map(({ text }) => bytesOf(text)));
    // Seven standard deviations: a fair bit leaves this band less than once in 10^11 runs.
    const band = 7 * Math.sqrt(tokens.length / 4);
    for (const count of counts) expect(Math.abs(count - tokens.length / 2)).toBeLessThan(band);
  });

  it("share no more bytes with each other than with another user's, and no lookup begins as its token does", () => {
    const others = Array.from({ length: 2000 }, () => mintToken("s1", primary, "A".repeat(11), 0x654321));
    const mine = tokens.slice(0, 2000);
    const pairOf = (list: typeof mine, at: number): Buffer => bytesOf(list[at]?.text ?? "");
    const among = sharedBytes(mine.slice(1).map((_, at) => [pairOf(mine, at), pairOf(mine, at + 1)]));
    const across = sharedBytes(mine.slice(1).map((_, at) => [pairOf(mine, at), pairOf(others, at)]));
    // Expected: 1999 * 58 / 256 = 453, with a standard deviation of 21.
    for (const count of [among, across]) expect(Math.abs(count - 453)).toBeLessThan(150);
    for (const { text, lookup } of mine) expect(text.slice(3, 7)).not.toBe(lookup.slice(0, 4));
  });
});

describe("the published pattern", () => {
  it("finds every token in a text, and nothing that is longer or shorter", () => {
    const texts = Array.from({ length: 1000 }, () => mintToken("s1", primary, "A".repeat(11), 0).text);
    expect(texts.join(" ").match(tokenPattern)).toEqual(texts);
    const [one = ""] = texts;
    for (const text of [one.slice(0, -1), `${one}A`, `x${one}`, one.toUpperCase()]) {
      expect(text.match(tokenPattern)).toBeNull();
    }
  });
});

describe("a random source that fails", () => {
  it("makes create fail: nothing else is used in its place", () => {
    // In a process of its own, whose crypto module was broken before anything was loaded.
    const folder = mkdtempSync(join(tmpdir(), "symbolon-random-"));
    try {
      const library = pathToFileURL(fileURLToPath(new URL("../../dist/", import.meta.url))).href;
      const breaker = join(folder, "breaker.cjs");
      writeFileSync(
        breaker,
        `const crypto = require("node:crypto");
         const fail = () => { throw new Error("no entropy"); };
         for (const name of ["randomBytes", "randomFillSync", "randomUUID", "getRandomValues"]) crypto[name] = fail;
         require("node:module").syncBuiltinESMExports();`,
      );
      const script = `
        const { createSessionManager } = await import("${library}index.js");
        const { memoryStore } = await import("${library}stores/memory.js");
        const sessions = createSessionManager({ store: memoryStore(), keys: ["${generateKey()}"], pruneEvery: false });
        const told = await sessions.create({ userId: "user-1" }).then(() => "created", (error) => error.message);
        console.log(JSON.stringify([told, await sessions.count()]));`;
      const args = ["--require", breaker, "--input-type=module", "--eval", script];
      const { stdout, stderr } = spawnSync(process.execPath, args, { encoding: "utf8", env: {} });
      expect(stderr).toBe("");
      expect(JSON.parse(stdout)).toEqual(["no entropy", 0]);
    } finally {
      rmSync(folder, { recursive: true });
    }
  });
});

describe("a wrong secret with a known id", () => {
  it("is refused and changes nothing, however often it is presented", async () => {
    const { store, calls } = spied(memoryStore());
    const sessions = createSessionManager({ store, keys: [generateKey()], pruneEvery: false });
    const { token, id } = await sessions.create({ userId: "user-1", data: { n: 1 } });
    const { ring, space } = engineOf(sessions).vault;
    const claims = readToken("s1", ring, space, token);
    if (typeof claims === "string") throw new Error("The token cannot be read.");
    calls.length = 0;
    for (let round = 0; round < 50; round++) {
      // Only who has the server's key can make these: genuine but for the secret.
      const forged = remintToken("s1", ring, space, id, claims.route)?.text ?? "";
      expect(await sessions.inspect(forged)).toEqual({ ok: false, reason: "wrong-secret" });
      expect(await sessions.refresh(forged)).toBeNull();
      expect(await sessions.revokeToken(forged)).toBeNull();
    }
    expect(new Set(calls)).toEqual(new Set(["read"]));
    expect((await sessions.validate(token))?.data).toEqual({ n: 1 });
  });
});
