/** Tokens whose text alone tells that they are none. */
import { partOf } from "../jwt-forge.ts";
import { casesOf, type HostileCase, type Stage } from "./case.ts";

const ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

type Parts = [header: string, claims: string, signature: string];

function partsOf(token: string): Parts {
  return token.split(".") as Parts;
}

/** The genuine token, rewritten by its parts. */
function rewritten(write: (...parts: Parts) => string): (stage: Stage) => string {
  return ({ token }) => write(...partsOf(token));
}

/** A token with so much more in its claims that it has a certain length. */
export function tokenOfLength({ signed, token }: Stage, length: number): string {
  const size = Math.floor(((length - token.length) * 3) / 4);
  for (let fill = size - 40; fill <= size; fill++) {
    // What the header is longer by makes up for lengths that base64 has none of.
    for (const more of [{}, { x: "" }, { x: "1" }]) {
      const made = signed(more, { fill: "x".repeat(fill) });
      if (made.length === length) return made;
    }
  }
  throw new Error("There is no token of this length.");
}

/** A token with a header of so many bytes. */
export function tokenOfHeader({ header, signed }: Stage, bytes: number): string {
  const before = JSON.stringify({ ...header, fill: "" }).length;
  return signed({ fill: "x".repeat(bytes - before) });
}

/** Sets spare bits of one part, which decoders throw away. */
function withSpareBits(stage: Stage, place: 0 | 1 | 2): string {
  for (const fill of ["", "x", "xx"]) {
    const parts = partsOf(stage.signed({ fill }, { fill }));
    const part = parts[place];
    if (part.length % 4 === 0) continue;
    const last = ALPHABET.indexOf(part.at(-1) as string);
    parts[place] = part.slice(0, -1) + ALPHABET.charAt(last + 1);
    return parts.join(".");
  }
  throw new Error("This part never has spare bits.");
}

/** Spells one part in the alphabet of base64 that is none of URLs. */
function inOtherAlphabet(stage: Stage, place: 0 | 1 | 2): string {
  for (let round = 0; ; round++) {
    const fill = `~~~???>>>${round}`;
    const parts = partsOf(stage.signed({ fill }, { fill }));
    const part = parts[place].replaceAll("-", "+").replaceAll("_", "/");
    if (part === parts[place]) continue;
    parts[place] = part;
    return parts.join(".");
  }
}

const jwe = (header: object): string =>
  [header, "key", "iv", "text", "tag"].map((part) => partOf(part as string)).join(".");

const nowhere: ProxyHandler<object> = {
  get() {
    throw new Error("A token that is no text was asked something.");
  },
  getPrototypeOf() {
    throw new Error("A token that is no text was asked what it is.");
  },
};

export const SHAPE_CASES: readonly HostileCase[] = [
  ...casesOf("R-111", "malformed", {
    "no characters": () => "",
    "a blank": () => " ",
    "one dot": () => ".",
    "two dots": () => "..",
    "a word": () => "token",
    "null as text": () => "null",
    "the header alone": rewritten((header) => header),
    "no signature, no dot": rewritten((header, claims) => `${header}.${claims}`),
    "an empty signature": rewritten((header, claims) => `${header}.${claims}.`),
    "an empty header": rewritten((_, claims, signature) => `.${claims}.${signature}`),
    "empty claims": rewritten((header, _, signature) => `${header}..${signature}`),
    "a dot behind": ({ token }) => `${token}.`,
    "a dot before": ({ token }) => `.${token}`,
    "two dots between": rewritten((header, claims, signature) => `${header}..${claims}.${signature}`),
    "four parts": rewritten((header, claims, signature) => `${header}.${claims}.${signature}.${signature}`),
    "the token twice": ({ token }) => `${token}.${token}`,
    "NUL behind": ({ token }) => `${token}\0`,
    "NUL within": ({ token }) => `${token.slice(0, 30)}\0${token.slice(30)}`,
    "a scheme before": ({ token }) => `Bearer:${token}`,
    "quotes around": ({ token }) => `"${token}"`,
    "commas for dots": ({ token }) => token.replaceAll(".", ","),
    "percent signs for dots": ({ token }) => token.replaceAll(".", "%2E"),
    "full-width dots": ({ token }) => token.replaceAll(".", "\uff0e"),
    "a Cyrillic letter": ({ token }) => `\u0435${token.slice(1)}`,
    "an emoji within": ({ token }) => `${token.slice(0, 9)}\u{1f600}${token.slice(9)}`,
    "half a character behind": ({ token }) => `${token}\ud83d`,
    "an accent that a normalisation would drop": ({ token }) => `${token}\u0301`,
    "the claims encoded twice": rewritten((header, claims, signature) => `${header}.${partOf(claims)}.${signature}`),
    "the parts in another order": rewritten((header, claims, signature) => `${signature}.${claims}.${header}`),
  }),
  ...casesOf("R-111", "not-canonical", {
    "a newline behind": ({ token }) => `${token}\n`,
    "a newline before": ({ token }) => `\n${token}`,
    "a carriage return and a newline behind": ({ token }) => `${token}\r\n`,
    "a blank behind": ({ token }) => `${token} `,
    "a blank before": ({ token }) => ` ${token}`,
    "a tab within": ({ token }) => `${token.slice(0, 40)}\t${token.slice(40)}`,
    "a newline every 64 characters": ({ token }) => token.replaceAll(/.{64}/g, "$&\n"),
    "a no-break space behind": ({ token }) => `${token}\u00a0`,
    "a byte order mark before": ({ token }) => `\ufeff${token}`,
    "a blank around each dot": ({ token }) => token.replaceAll(".", " . "),
    "the word Bearer before": ({ token }) => `Bearer ${token}`,
    "two tokens": rewritten((header, claims, signature) => `${header}.${claims}.${signature} ${signature}`),
    "blanks that fill the bound": ({ token }) => token.padEnd(8192, " "),
    "blanks between the characters": ({ token }) => Array.from(token).join(" "),
    "padding behind the header": rewritten((header, claims, signature) => `${header}=.${claims}.${signature}`),
    "padding behind the claims": rewritten((header, claims, signature) => `${header}.${claims}==.${signature}`),
    "padding behind the signature": ({ token }) => `${token}=`,
    "padding within": ({ token }) => `${token.slice(0, 40)}=${token.slice(40)}`,
    "the other alphabet in the header": (stage) => inOtherAlphabet(stage, 0),
    "the other alphabet in the claims": (stage) => inOtherAlphabet(stage, 1),
    "the other alphabet in the signature": (stage) => inOtherAlphabet(stage, 2),
    "spare bits in the header": (stage) => withSpareBits(stage, 0),
    "spare bits in the claims": (stage) => withSpareBits(stage, 1),
    "a lone character behind the header": rewritten((header, claims, signature) =>
      [header.padEnd(Math.ceil(header.length / 4) * 4 + 1, "A"), claims, signature].join("."),
    ),
  }),
  ...casesOf(
    "R-111",
    "not-canonical",
    { "spare bits in the signature": (stage) => withSpareBits(stage, 2) },
    // 96 bytes leave none.
    { algs: ["EdDSA", "ES256", "HS256", "HS512", "RS256", "PS256"] },
  ),
  ...casesOf("R-111", "too-large", {
    "8193 characters, well signed": (stage) => tokenOfLength(stage, 8193),
    "12 KB, well signed": ({ signed }) => signed({}, { fill: "x".repeat(12_000) }),
    "1 MB, well signed": ({ signed }) => signed({}, { fill: "x".repeat(1_000_000) }),
    "100 000 dots": () => ".".repeat(100_000),
    "100 000 blanks behind": ({ token }) => token + " ".repeat(100_000),
    "16 MB of one letter": () => "A".repeat(1 << 24),
    "a header of 1025 bytes, well signed": (stage) => tokenOfHeader(stage, 1025),
  }),
  ...casesOf("R-115", "malformed", {
    "a flattened serialisation": rewritten((header, payload, signature) =>
      JSON.stringify({ protected: header, payload, signature }),
    ),
    "a general serialisation": rewritten((header, payload, signature) =>
      JSON.stringify({ payload, signatures: [{ protected: header, signature }] }),
    ),
    "a serialisation that reads as compact, too": ({ token }) => JSON.stringify({ "": token, payload: "" }),
    "a detached payload": rewritten((header, _, signature) => `${header}..${signature}`),
  }),
  ...casesOf("R-124", "malformed", {
    "an encrypted token": ({ key }) => jwe({ alg: "RSA-OAEP", enc: "A256GCM", kid: key.kid, typ: "sess+jwt" }),
    "an encrypted token under a password, two billion rounds": () =>
      jwe({ alg: "PBES2-HS256+A128KW", enc: "A128GCM", p2c: 2_000_000_000, p2s: "c2FsdHNhbHQ" }),
    "an encrypted token around one that nobody signed": ({ claims }) =>
      [partOf({ alg: "dir", enc: "A256GCM", cty: "JWT" }), "", partOf("iv"), partOf(claims), partOf("tag")].join("."),
    "an encrypted token with four parts": () => jwe({ alg: "dir", enc: "A256GCM" }).slice(0, -5),
  }),
  ...casesOf("R-111", "malformed", {
    undefined: () => undefined,
    null: () => null,
    "a number": () => 0,
    NaN: () => Number.NaN,
    "a truth": () => true,
    "a big number": () => 1n,
    "a symbol": () => Symbol("token"),
    "an object": () => ({}),
    "an empty list": () => [],
    "a list with the token": ({ token }) => [token],
    "the token as an object": ({ token }) => Object(token) as unknown,
    "an object that says the token": ({ token }) => ({ toString: () => token, length: token.length }),
    "an object that throws": () => new Proxy({}, nowhere),
    "a function":
      ({ token }) =>
      () =>
        token,
    "a function that throws": () => new Proxy(() => "", nowhere),
    "the bytes of the token": ({ token }) => Buffer.from(token),
    "a date": () => new Date(0),
  }),
];
