/** Tokens at the bounds of what is taken: without them, a case could be refused for more than its reason. */
import type { GenuineCase, HostileCase, Stage } from "./case.ts";
import { tokenOfHeader, tokenOfLength } from "./shape.ts";

function genuine(rule: string, builders: Readonly<Record<string, HostileCase["build"]>>): GenuineCase[] {
  return Object.entries(builders).map(([name, build]) => ({ name, rule, build }));
}

const claimed = (write: (json: string) => string) => (stage: Stage) =>
  stage.spelt(null, write(JSON.stringify(stage.claims)));

const withMembers = (members: string): ((stage: Stage) => string) =>
  claimed((json) => json.replace(/\}$/, `,${members}}`));

export const GENUINE_CASES: readonly GenuineCase[] = [
  ...genuine("R-111", {
    "the token as it was issued": ({ token }) => token,
    "the same, forged with the right key": ({ signed }) => signed(),
    "8192 characters": (stage) => tokenOfLength(stage, 8192),
    "a header of 1024 bytes": (stage) => tokenOfHeader(stage, 1024),
  }),
  ...genuine("R-115", {
    "an unknown member in the header": ({ signed }) => signed({ x: 1, url: "https://id.example" }),
    "the header in another order": ({ spelt, header }) =>
      spelt(Object.fromEntries(Object.entries(header).toReversed()), null),
    "white space in the header": ({ spelt, header }) => spelt(JSON.stringify(header, null, 2), null),
    "escapes in the header": ({ spelt, header }) =>
      spelt(JSON.stringify(header).replace('"alg"', String.raw`"\u0061lg"`), null),
  }),
  ...genuine("R-119", {
    "white space in the claims": ({ spelt, claims }) => spelt(null, `\r\n ${JSON.stringify(claims, null, "\t")} \n`),
    "an escape in a name": claimed((json) => json.replace('"sub"', String.raw`"\u0073ub"`)),
    "an escape in a value": withMembers(String.raw`"x":"\u0041\n\"\\\/\b\f\r\t"`),
    "a character in two halves": withMembers(String.raw`"x":"\ud83d\ude00","\ud83d\ude00":1`),
    "other alphabets": withMembers('"имя":"Ψυχή","名":"é😀\u2028"'),
    "the same name in two objects": withMembers('"x":{"a":1,"sub":2},"y":[{"a":1},{"a":2}]'),
    "the same name in an object and in one within": withMembers('"x":{"x":{"x":1}}'),
    "the same text as name and value": withMembers('"x":"x","y":["x","x"]'),
    "names that only look alike": withMembers(String.raw`"e":1,"é":2,"e\u0301":3,"E":4,"":5," ":6`),
    "names of an object's own": withMembers('"constructor":1,"toString":2,"hasOwnProperty":3,"__proto":4'),
    "braces and quotes in texts": withMembers(String.raw`"x":"{\"a\":1,\"a\":[[","y":"}]"`),
    "objects of 32 levels": withMembers(`"x":${'{"x":'.repeat(31)}1${"}".repeat(31)}`),
    "lists of 32 levels": withMembers(`"x":${"[".repeat(31)}1${"]".repeat(31)}`),
    "every kind of value": withMembers('"x":[null,true,false,0,-1.5e-3,"",[],{}]'),
    "700 names": withMembers(Array.from({ length: 700 }, (_, index) => `"${index.toString(36)}":1`).join(",")),
  }),
  ...genuine("R-117", {
    "our audience among others": ({ signed, claims }) =>
      signed({}, { aud: ["https://other.example", claims["aud"], "https://third.example"] }),
    "our audience in a list alone": ({ signed, claims }) => signed({}, { aud: [claims["aud"]] }),
    "as long as tokens live": ({ signed, claims }) => signed({}, { exp: claims.iat + 600 }),
    "a second left": ({ signed, now, behind }) => signed({}, { iat: now - 300, exp: now - behind + 1 }),
    "iat in five seconds": ({ signed, now }) => signed({}, { iat: now + 5, exp: now + 300 }),
    "nbf in five seconds": ({ signed, now }) => signed({}, { nbf: now + 5 }),
    "nbf long ago": ({ signed }) => signed({}, { nbf: 0 }),
    "exp with a fraction of nothing": ({ spelt, claims }) =>
      spelt(null, JSON.stringify(claims).replace(`"exp":${claims.exp}`, `"exp":${claims.exp}.0`)),
    "no auth, no auth_time": ({ signed }) => signed({}, { auth: undefined, auth_time: undefined }),
    "no roles": ({ signed }) => signed({}, { auth: [] }),
  }),
];
