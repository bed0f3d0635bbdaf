/** Tokens whose header or claims are no JSON that is read alike everywhere. */
import { casesOf, type HostileCase, type Stage } from "./case.ts";

/** The JSON of the genuine claims, rewritten, and signed. */
function claimed(write: (json: string, stage: Stage) => string | Buffer): (stage: Stage) => string {
  return (stage) => stage.spelt(null, write(JSON.stringify(stage.claims), stage));
}

/** The JSON of the genuine header, rewritten, and signed. */
function headed(write: (json: string, stage: Stage) => string | Buffer): (stage: Stage) => string {
  return (stage) => stage.spelt(write(JSON.stringify(stage.header), stage), null);
}

/** Puts members before those of an object. */
const before = (members: string) => (json: string) => json.replace("{", `{${members},`);
/** Puts members behind those of an object. */
const behind = (members: string) => (json: string) => json.replace(/\}$/, `,${members}}`);

/** Claims with some bytes in a text. */
const withBytes = (...bytes: number[]): ((stage: Stage) => string) =>
  claimed((json) => Buffer.concat([Buffer.from(`${json.slice(0, -1)},"x":"`), Buffer.from(bytes), Buffer.from('"}')]));

const nested = (levels: number, open: string, close: string): string =>
  `"x":${open.repeat(levels - 1)}1${close.repeat(levels - 1)}`;

const ENCODING_CASES: readonly HostileCase[] = casesOf("R-119", "malformed", {
  "a byte order mark before the claims": claimed((json) => `\ufeff${json}`),
  "a byte order mark before the header": headed((json) => `\ufeff${json}`),
  "a byte order mark behind the claims": claimed((json) => `${json}\ufeff`),
  "claims in UTF-16": claimed((json) => Buffer.from(json, "utf16le")),
  "claims in UTF-16 with a mark": claimed((json) => Buffer.from(`\ufeff${json}`, "utf16le")),
  "claims in Latin-1": claimed((json) => Buffer.from(behind('"x":"\u00e9"')(json), "latin1")),
  "a byte that is never UTF-8": withBytes(0xff),
  "half of a sequence": withBytes(0xc3),
  "the rest of a sequence": withBytes(0xa9),
  "an overlong dot": withBytes(0xc0, 0xae),
  "an overlong quote": withBytes(0xc0, 0xa2),
  "an overlong NUL": withBytes(0xc0, 0x80),
  "half a character in UTF-8": withBytes(0xed, 0xa0, 0x80),
  "a character as two halves": withBytes(0xed, 0xa0, 0xbd, 0xed, 0xb8, 0x80),
  "a character beyond the last": withBytes(0xf4, 0x90, 0x80, 0x80),
  "bad UTF-8 in the header": headed((json) => Buffer.concat([Buffer.from(before('"x":"\u00e9"')(json), "latin1")])),
  "bad UTF-8 in a name": claimed((json) => Buffer.from(behind('"\u00e9":1')(json), "latin1")),
  "the first half of a character, escaped": claimed(behind(String.raw`"x":"\ud800"`)),
  "the second half, escaped": claimed(behind(String.raw`"x":"\uDFFF"`)),
  "both halves the wrong way round": claimed(behind(String.raw`"x":"\ude00\ud83d"`)),
  "half a character in a name": claimed(behind(String.raw`"\ud800":1`)),
  "half a character deep inside": claimed(behind(String.raw`"x":[{"y":["\udbff"]}]`)),
  "half a character in the header": headed(behind(String.raw`"x":"\ud800"`)),
});

/** Every claim that is checked, given twice: once as it is, once as it is not. */
const TWICE_CASES: readonly HostileCase[] = ["iss", "aud", "sub", "sid", "jti", "iat", "exp", "auth"].flatMap((name) =>
  casesOf("R-119", "malformed", {
    [`${name} twice, the false one first`]: claimed(before(`"${name}":"false"`)),
    [`${name} twice, the false one last`]: claimed(behind(`"${name}":"false"`)),
    [`${name} twice, both the same`]: claimed((json, { claims }) =>
      behind(`"${name}":${JSON.stringify(claims[name])}`)(json),
    ),
  }),
);

const MEMBER_CASES: readonly HostileCase[] = casesOf("R-119", "malformed", {
  "sub twice, once with an escape": claimed(before(String.raw`"\u0073ub":"user-2"`)),
  "sub twice, all escaped": claimed(behind(String.raw`"\u0073\u0075\u0062":"user-2"`)),
  "exp twice, once with an escape": claimed(behind(String.raw`"e\u0078p":9999999999`)),
  "the empty name twice": claimed(behind('"":1,"":1')),
  "an unknown name twice": claimed(behind('"x":1,"y":2,"x":3')),
  "a name twice, with white space around": claimed(behind('"x" : 1 , \n "x"\t: 2')),
  "a name twice, its quote escaped": claimed(behind(String.raw`"x\"":1,"x\u0022":2`)),
  "a name twice, its solidus escaped": claimed(behind(String.raw`"x/":1,"x\/":2`)),
  "a name twice, an emoji, once as escapes": claimed(behind(String.raw`"😀":1,"\ud83d\ude00":2`)),
  "a name twice, deep inside": claimed(behind('"x":[1,{"y":{"z":1,"z":2}}]')),
  "a name twice, behind a list": claimed(behind('"x":{"y":[1,{"z":1}],"y":2}')),
  "a name twice, behind an object": claimed(behind('"x":{"y":{"y":1},"y":2}')),
  "a name twice, behind braces in a text": claimed(behind(String.raw`"x":{"y":"{\"[","y":2}`)),
  "act.sub twice": claimed(behind('"act":{"sub":"user-1","sub":"user-2"}')),
  "alg twice, none first": headed(before('"alg":"none"')),
  "alg twice, none last": headed(behind('"alg":"none"')),
  "alg twice, once with an escape": headed(behind(String.raw`"\u0061lg":"none"`)),
  "kid twice": headed(behind('"kid":"unknown"')),
  "typ twice": headed(before('"typ":"JWT"')),
  "the last of 700 names twice": claimed((json) => {
    const names = Array.from({ length: 700 }, (_, index) => `"${index.toString(36)}":1`);
    return behind([...names, '"jf":1'].join(","))(json);
  }),
  "__proto__ in the claims": claimed(behind('"__proto__":{"admin":true}')),
  "__proto__, escaped": claimed(behind(String.raw`"\u005f_proto__":{"admin":true}`)),
  "__proto__ deep inside": claimed(behind('"x":[{"__proto__":{"admin":true}}]')),
  "__proto__ that is null": claimed(behind('"__proto__":null')),
  "__proto__ in the header": headed(behind('"__proto__":{"crit":["x"]}')),
});

const DEPTH_CASES: readonly HostileCase[] = casesOf("R-119", "malformed", {
  "objects of 33 levels": claimed(behind(nested(33, '{"x":', "}"))),
  "lists of 33 levels": claimed(behind(nested(33, "[", "]"))),
  "both of 33 levels": claimed((json) => behind(`"x":${'[{"x":'.repeat(16)}1${"}]".repeat(16)}`)(json)),
  "lists of 2000 levels": claimed(behind(nested(2000, "[", "]"))),
  "objects of 800 levels": claimed(behind(nested(800, '{"x":', "}"))),
  "lists that are never closed": claimed((json) => `${json.slice(0, -1)},"x":${"[".repeat(5000)}`),
  "lists that were never opened": claimed(() => `{"x":${"]".repeat(5000)}}`),
  "a header of 33 levels": headed(behind(nested(33, "[", "]"))),
});

const GRAMMAR_CASES: readonly HostileCase[] = [
  ...casesOf("R-119", "malformed", {
    "claims that are null": () => "null",
    "claims that are a list": () => "[]",
    "claims in a list": (stage) => `[${JSON.stringify(stage.claims)}]`,
    "claims that are a text": () => '"text"',
    "claims that are a number": () => "1",
    "claims that are true": () => "true",
    "claims of white space": () => " ",
    "claims that end early": (stage) => JSON.stringify(stage.claims).slice(0, -1),
    "a text that never ends": (stage) => `${JSON.stringify(stage.claims).slice(0, -1)},"x":"`,
    "an escape that never ends": (stage) => `${JSON.stringify(stage.claims).slice(0, -1)},"x":"\\`,
    "a text of quotes that never ends": () => `{"x":"${'\\"'.repeat(2500)}`,
    "a letter behind the claims": (stage) => `${JSON.stringify(stage.claims)}x`,
    "an object behind the claims": (stage) => `${JSON.stringify(stage.claims)}{}`,
    "a brace behind the claims": (stage) => `${JSON.stringify(stage.claims)}}`,
    "NUL behind the claims": (stage) => `${JSON.stringify(stage.claims)}\0`,
    "NUL before the claims": (stage) => `\0${JSON.stringify(stage.claims)}`,
    "a no-break space behind the claims": (stage) => `${JSON.stringify(stage.claims)}\u00a0`,
    "a comma at the end": (stage) => JSON.stringify(stage.claims).replace(/\}$/, ",}"),
    "a comma at the start": (stage) => JSON.stringify(stage.claims).replace("{", "{,"),
    "no comma": (stage) => JSON.stringify(stage.claims).replace(",", " "),
    "no colon": (stage) => JSON.stringify(stage.claims).replace(":", " "),
    "a comment": (stage) => JSON.stringify(stage.claims).replace("{", "{/* */"),
    "single quotes": (stage) => JSON.stringify(stage.claims).replaceAll('"', "'"),
    "names without quotes": (stage) => JSON.stringify(stage.claims).replace('"iss"', "iss"),
  }).map((one) => ({ ...one, build: (stage: Stage) => stage.spelt(null, one.build(stage) as string) })),
  ...["NaN", "Infinity", "-Infinity", "undefined", "01", "+1", "0x1", "1.", ".5", "1e", "--1", "1_000", "tru"].flatMap(
    (value) => casesOf("R-119", "malformed", { [`a value ${value}`]: claimed(behind(`"x":${value}`)) }),
  ),
  ...["\n", "\t", "\0", "\u001f"].flatMap((control) =>
    casesOf("R-119", "malformed", {
      [`the control character ${control.charCodeAt(0)} in a text`]: claimed(behind(`"x":"${control}"`)),
    }),
  ),
  ...[String.raw`\x41`, String.raw`\u12`, String.raw`\'`, String.raw`\u{41}`].flatMap((escape) =>
    casesOf("R-119", "malformed", { [`the escape ${escape}`]: claimed(behind(`"x":"${escape}"`)) }),
  ),
  ...["null", "[]", '"HS256"', "0", "true", "", "alg", "{"].flatMap((header) =>
    casesOf("R-119", "malformed", { [`a header that is ${header}`]: headed(() => header) }),
  ),
  ...casesOf("R-112", "header-invalid", { "a header that says nothing": headed(() => "{}") }),
  ...casesOf("R-117", "claims-invalid", { "claims that say nothing": claimed(() => "{}") }),
];

export const JSON_CASES: readonly HostileCase[] = [
  ...ENCODING_CASES,
  ...TWICE_CASES,
  ...MEMBER_CASES,
  ...DEPTH_CASES,
  ...GRAMMAR_CASES,
];
