/** Tokens whose claims are none that ours have (R-117), well signed, all of them. */
import type { JwtRefusal } from "symbolon/jwt";
import { partOf } from "../jwt-forge.ts";
import { casesOf, type HostileCase, type Members, type Stage } from "./case.ts";

/** JSON of a value that `JSON.stringify` would not write so. */
interface Raw {
  readonly raw: string;
}
const raw = (text: string): Raw => ({ raw: text });

/** The genuine claims with one of them as it is written. */
function withRaw({ claims, spelt }: Stage, name: string, text: string): string {
  const { [name]: _, ...others } = claims as Members;
  return spelt(null, JSON.stringify(others).replace("{", `{"${name}":${text},`));
}

/** A case for every value that a claim may not have. */
function ofTypes(name: string, values: readonly unknown[]): HostileCase[] {
  return values.map((value) => {
    const text = isRaw(value) ? value.raw : JSON.stringify(value);
    return {
      name: value === undefined ? `no ${name}` : `${name} ${text.slice(0, 50)}`,
      rule: "R-117",
      reason: "claims-invalid",
      build: (stage) => (value === undefined ? stage.signed({}, { [name]: undefined }) : withRaw(stage, name, text)),
    };
  });
}

function isRaw(value: unknown): value is Raw {
  return typeof value === "object" && value !== null && "raw" in value;
}

const NO_TEXT: readonly unknown[] = [null, "", 0, 1, -1, 1.5, true, false, [], {}, ["user-1"], { toString: "user-1" }];
/** Numbers that cannot be counted with, or are beyond the last second there is. */
const TOO_MUCH = ["1e999", "-1e999", "9007199254740992", "9007199254740993", "1e16", "1e300", "100000000000"].map(raw);
const IN_MILLISECONDS = 1_767_225_600_000;
const NO_INSTANT: readonly unknown[] = [
  ...TOO_MUCH,
  ...NO_TEXT.filter((value) => value !== 0 && value !== 1),
  "123",
  "2099-01-01",
  [1],
  { valueOf: 1 },
  0.1,
  IN_MILLISECONDS,
];

const TYPE_CASES: readonly HostileCase[] = [
  ...["iss", "sub", "sid", "jti"].flatMap((name) => ofTypes(name, [undefined, ...NO_TEXT])),
  ...["iat", "exp"].flatMap((name) => ofTypes(name, [undefined, ...NO_INSTANT])),
  ...["nbf", "auth_time"].flatMap((name) => ofTypes(name, NO_INSTANT)),
  ...ofTypes("aud", [
    undefined,
    null,
    "",
    0,
    1,
    true,
    {},
    [],
    [1],
    [null],
    [""],
    [[]],
    [["https://api.example"]],
    [{}],
  ]),
  ...ofTypes("auth", [null, "", "admin", 1, true, {}, [1], [null], [""], ["admin", ""], ["admin", 1], [["admin"]]]),
  ...ofTypes("act", [null, "", "admin", 1, true, [], {}, { sub: "" }, { sub: 1 }, { sub: null }, { sub: ["x"] }]),
  ...casesOf("R-117", "claims-invalid", {
    "a foreign audience that is no text beside ours": ({ signed, claims }) => signed({}, { aud: [claims["aud"], 1] }),
    "null beside our audience": ({ signed, claims }) => signed({}, { aud: [null, claims["aud"]] }),
    "an empty audience beside ours": ({ signed, claims }) => signed({}, { aud: [claims["aud"], ""] }),
    "the names of the claims in upper case": ({ spelt, claims }) =>
      spelt(null, Object.fromEntries(Object.entries(claims).map(([name, value]) => [name.toUpperCase(), value]))),
    "the claims one level down": ({ spelt, claims }) => spelt(null, { claims }),
    "the claims with a blank behind their names": ({ spelt, claims }) =>
      spelt(null, Object.fromEntries(Object.entries(claims).map(([name, value]) => [`${name} `, value]))),
    // With a wrong signature as well: types need none to be refused.
    "no sub, and no signature": ({ header, claims }) =>
      `${partOf(header)}.${partOf({ ...claims, sub: undefined })}.${partOf("none")}`,
  }),
];

/** Near misses of a text that is compared as a whole. */
function nearMisses(text: string): readonly string[] {
  return [
    [`${text}/`, `${text} `, ` ${text}`, `${text}\0`, `${text}\n`, `${text}.evil`, `${text}@evil`, `${text}#`],
    [text.slice(0, -1), text.slice(1), text.toUpperCase(), text.replace("https", "http"), `x${text}`, `${text}?x=1`],
    [text.replaceAll(".", "x"), text.replace("example", "ex\u0430mple"), `${text}\u0301`, `${text}:443`],
    [".*", "^.*$", "*", "https://*", "%", text.repeat(2), `${text},${text}`, "null", "undefined", "__proto__"],
  ].flat();
}

function ofTexts(name: "iss" | "aud", reason: JwtRefusal): HostileCase[] {
  const count = nearMisses("https://id.example").length;
  return Array.from({ length: count }, (_, place) => ({
    name: `${name} ${JSON.stringify(nearMisses(`https://${name}.example`)[place])}`,
    rule: "R-117",
    reason,
    build: ({ signed, claims }) => signed({}, { [name]: nearMisses(claims[name] as string)[place] }),
  }));
}

const PARTY_CASES: readonly HostileCase[] = [
  ...ofTexts("iss", "wrong-issuer"),
  ...ofTexts("aud", "wrong-audience"),
  ...casesOf("R-117", "wrong-audience", {
    "a list of other audiences": ({ signed }) =>
      signed({}, { aud: ["https://other.example", "https://third.example"] }),
    "a list of near misses": ({ signed, claims }) => signed({}, { aud: nearMisses(claims["aud"] as string) }),
    "the issuer as audience": ({ signed, claims }) => signed({}, { aud: claims["iss"] }),
    "the audience in two pieces": ({ signed, claims }) =>
      signed({}, { aud: [(claims["aud"] as string).slice(0, 9), (claims["aud"] as string).slice(9)] }),
  }),
];

const TIME_CASES: readonly HostileCase[] = [
  ...casesOf("R-117", "expired", {
    "exp is now": ({ signed, now, behind }) => signed({}, { iat: now - 300, exp: now - behind }),
    "exp was a second ago": ({ signed, now, behind }) => signed({}, { iat: now - 300, exp: now - behind - 1 }),
    "exp was a year ago": ({ signed, now }) => signed({}, { iat: now - 31_536_300, exp: now - 31_536_000 }),
    "exp was in 1970": ({ signed }) => signed({}, { iat: 0, exp: 1 }),
  }),
  ...casesOf("R-117", "not-yet-valid", {
    "iat is in six seconds": ({ signed, now }) => signed({}, { iat: now + 6, exp: now + 300 }),
    "iat is in an hour": ({ signed, now }) => signed({}, { iat: now + 3600, exp: now + 3900 }),
    "iat is in an hour, nbf long ago": ({ signed, now }) => signed({}, { iat: now + 3600, nbf: 0, exp: now + 3900 }),
    "iat is in the year 5138": ({ signed }) => signed({}, { iat: 99_999_999_000, exp: 99_999_999_300 }),
    "nbf is in six seconds": ({ signed, now }) => signed({}, { nbf: now + 6 }),
    "nbf is in five minutes": ({ signed, now }) => signed({}, { nbf: now + 300 }),
  }),
  ...casesOf("R-117", "too-long-lived", {
    "a second more than tokens live": ({ signed, claims }) => signed({}, { exp: claims.iat + 601 }),
    "an hour": ({ signed, claims }) => signed({}, { exp: claims.iat + 3600 }),
    "a century": ({ signed, claims }) => signed({}, { exp: claims.iat + 3_155_760_000 }),
    "until the last second there is": ({ signed }) => signed({}, { exp: 99_999_999_999 }),
    "since 1970": ({ signed }) => signed({}, { iat: 0 }),
    "issued a minute ago, for an hour then": ({ signed, now }) => signed({}, { iat: now - 60, exp: now + 3540 }),
  }),
  ...casesOf(
    "R-117",
    "claims-invalid",
    {
      "exp is iat": ({ signed, claims }) => signed({}, { exp: claims.iat }),
      "exp is before iat": ({ signed, now }) => signed({}, { iat: now, exp: now - 60 }),
      "exp is before iat, nbf long ago": ({ signed, now }) => signed({}, { iat: now, nbf: 0, exp: now - 60 }),
      "exp is 0": ({ signed }) => signed({}, { exp: 0 }),
      "exp is -0": (stage) => withRaw(stage, "exp", "-0"),
      "nbf is exp": ({ signed, claims }) => signed({}, { nbf: claims.exp }),
      "nbf is after exp": ({ signed, claims }) => signed({}, { nbf: claims.exp + 60 }),
    },
    { isLate: true },
  ),
];

export const CLAIMS_CASES: readonly HostileCase[] = [...TYPE_CASES, ...PARTY_CASES, ...TIME_CASES];
