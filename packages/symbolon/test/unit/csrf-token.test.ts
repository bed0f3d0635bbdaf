import { createHmac, hkdfSync, randomBytes } from "node:crypto";
import { describe, expect, it } from "vitest";
import { csrfTokenMatches, mintCsrfToken } from "../../src/core/csrf-token.ts";
import { createKeyring, generateKey } from "../../src/crypto/keyring.ts";

const root = generateKey();
const { csrf: key } = createKeyring([root]).primary;
const lookup = randomBytes(32).toString("base64url");
const otherLookup = randomBytes(32).toString("base64url");

function bytesOf(token: string): Buffer {
  return Buffer.from(token.slice(3), "base64url");
}

describe("a CSRF token", () => {
  it("is x1_ and 128 characters, different at every call, and each of them matches", () => {
    const tokens = Array.from({ length: 500 }, () => mintCsrfToken(key, lookup));
    for (const token of tokens) {
      expect(token).toMatch(/^x1_[A-Za-z0-9_-]{128}$/);
      expect(csrfTokenMatches(key, lookup, token)).toBe(true);
    }
    expect(new Set(tokens).size).toBe(tokens.length);
  });

  it("is what its description says, made with other means", () => {
    const csrfKey = Buffer.from(hkdfSync("sha256", Buffer.from(root, "base64url"), "symbolon/v1", "csrf", 32));
    const bytes = bytesOf(mintCsrfToken(key, lookup));
    const plain = bytes.subarray(48).map((byte, index) => byte ^ (bytes[index] ?? 0));
    const random = plain.subarray(0, 16);
    const mac = createHmac("sha256", csrfKey).update(`csrf/1\n${lookup}`).update(random).digest();
    expect(Buffer.from(plain.subarray(16))).toEqual(mac);
  });

  it("has no byte in common with the next more often than chance has it", () => {
    const tokens = Array.from({ length: 1001 }, () => bytesOf(mintCsrfToken(key, lookup)));
    let shared = 0;
    for (const [at, token] of tokens.slice(1).entries()) {
      shared += token.filter((byte, index) => byte === tokens[at]?.[index]).length;
    }
    // Expected: 1000 * 96 / 256 = 375, with a standard deviation of 19.
    expect(Math.abs(shared - 375)).toBeLessThan(140);
  });

  it("does not match another session, another key, or a key of another purpose", () => {
    const token = mintCsrfToken(key, lookup);
    const { primary } = createKeyring([root]);
    expect(csrfTokenMatches(key, otherLookup, token)).toBe(false);
    expect(csrfTokenMatches(key, "", token)).toBe(false);
    expect(csrfTokenMatches(createKeyring([generateKey()]).primary.csrf, lookup, token)).toBe(false);
    expect(csrfTokenMatches(primary.wrap, lookup, token)).toBe(false);
    expect(csrfTokenMatches(primary.envelope, lookup, token)).toBe(false);
  });

  it("matches still when the keyring is made anew from the same root, and when new keys come before it", () => {
    const token = mintCsrfToken(key, lookup);
    expect(csrfTokenMatches(createKeyring([root]).primary.csrf, lookup, token)).toBe(true);
    const [, second] = createKeyring([generateKey(), root]).byId.values();
    expect(second === undefined ? false : csrfTokenMatches(second.csrf, lookup, token)).toBe(true);
  });

  it("does not match when any of its bits is another", () => {
    const bytes = bytesOf(mintCsrfToken(key, lookup));
    for (let bit = 0; bit < bytes.length * 8; bit++) {
      const changed = Buffer.from(bytes);
      changed[bit >> 3] = (changed[bit >> 3] ?? 0) ^ (1 << (bit & 7));
      expect(csrfTokenMatches(key, lookup, `x1_${changed.toString("base64url")}`)).toBe(false);
    }
  });

  it("matches when mask and masked bytes change alike: only what is under the mask counts", () => {
    const bytes = bytesOf(mintCsrfToken(key, lookup));
    const mask = randomBytes(48);
    const masked = bytes.map((byte, index) => byte ^ (mask[index % 48] ?? 0));
    expect(csrfTokenMatches(key, lookup, `x1_${Buffer.from(masked).toString("base64url")}`)).toBe(true);
  });

  it("has one spelling", () => {
    const token = mintCsrfToken(key, lookup);
    const body = token.slice(3);
    const others = [
      body,
      `X1_${body}`,
      `s1_${body}`,
      ` ${token}`,
      `${token} `,
      `${token}\n`,
      `${token}=`,
      `${token}A`,
      token.slice(0, -1),
      `x1_ ${body.slice(1)}`,
      `x1_${body.slice(0, -1)}=`,
      `x1_${body.slice(0, -1)}\ud800`,
      `x1_${body.slice(0, -2)}\u{1f36a}`,
      `"${token}"`,
      `${token}, ${token}`,
      encodeURIComponent(`${token} `),
    ];
    for (const text of others) expect(csrfTokenMatches(key, lookup, text)).toBe(false);
    // The standard alphabet spells the same bytes: a body that has a - or _ is another text in it.
    const spelt = Array.from({ length: 50 }, () => mintCsrfToken(key, lookup)).find((text) =>
      /[-_]/.test(text.slice(3)),
    );
    const standard = `x1_${bytesOf(spelt ?? "").toString("base64")}`;
    expect(csrfTokenMatches(key, lookup, standard)).toBe(false);
  });

  it.each<[string, unknown]>([
    ["nothing", undefined],
    ["null", null],
    ["empty text", ""],
    ["a number", 131],
    ["a list with a token", [mintCsrfToken(key, lookup)]],
    ["a String object", Object(mintCsrfToken(key, lookup))],
    ["bytes", bytesOf(mintCsrfToken(key, lookup))],
    ["an object that claims a length", { length: 131, slice: () => mintCsrfToken(key, lookup) }],
    ["an object without prototype", Object.create(null)],
    ["the prefix alone", "x1_"],
    ["zero bytes", `x1_${"A".repeat(128)}`],
    ["128 lone surrogates", `x1_${"\ud800".repeat(128)}`],
    ["128 zero characters", `x1_${"\0".repeat(128)}`],
    ["ten million characters", `x1_${"A".repeat(1e7)}`],
  ])("is not %s", (_, value) => {
    expect(csrfTokenMatches(key, lookup, value)).toBe(false);
  });
});
