import { randomBytes } from "node:crypto";
import { describe, expect, it, vi } from "vitest";
import { csrfTokenMatches, mintCsrfToken } from "../../src/core/csrf-token.ts";
import type { CsrfRefusal } from "../../src/core/events.ts";
import { resolveOrigins } from "../../src/core/origins.ts";
import { createKeyring, generateKey } from "../../src/crypto/keyring.ts";
import { OptionsError } from "../../src/errors.ts";
import { CSRF_VARY, type CsrfRequest, type CsrfSession, isCsrfRelevant, judgeCsrf } from "../../src/http/csrf.ts";
import vectors from "../vectors/csrf-decisions.json" with { type: "json" };

type Lines = Readonly<Record<string, string | undefined>>;

interface Case {
  readonly name: string;
  readonly method: string;
  readonly headers: Lines;
  readonly expect: string;
  readonly why: string;
  readonly config: { readonly trustedOrigins?: readonly string[] };
}

const APP = "https://app.test";
const EVIL = "https://evil.test";
const key = createKeyring([generateKey()]).primary.csrf;
const [lookup, otherLookup, earlierLookup] = [1, 2, 3].map(() => randomBytes(32).toString("base64url")) as [
  string,
  string,
  string,
];
const valid = mintCsrfToken(key, lookup);

const PLACEHOLDERS: Readonly<Record<string, string>> = {
  "<valid>": valid,
  "<valid for this session>": valid,
  "<valid for another session>": mintCsrfToken(key, otherLookup),
  "<minted before login>": mintCsrfToken(key, earlierLookup),
};

/** Headers as a binding gives them, with real tokens where the vectors leave room for them. */
function source(lines: Lines): CsrfRequest["headers"] {
  return { get: (name) => lines[name]?.replace(/<[^>]+>/, (room) => PLACEHOLDERS[room] ?? room) };
}

function sessionOf(lines: Lines): CsrfSession {
  return {
    hasCookie: lines["cookie"]?.includes("__Host-sid=") ?? false,
    tokenMatches: (token) => csrfTokenMatches(key, lookup, token),
  };
}

interface Extra {
  readonly origins?: readonly string[];
  readonly tokenAlways?: boolean;
  readonly formToken?: string;
}

function judge(method: string, lines: Lines, extra: Extra = {}): CsrfRefusal | null {
  const { origins = [APP], tokenAlways = false, formToken } = extra;
  return judgeCsrf(
    { method, headers: source(lines), formToken },
    sessionOf(lines),
    resolveOrigins(origins),
    tokenAlways,
  );
}

/** Judges as JavaScript would call it, with headers that hold what no type allows. */
function judgeUntyped(method: unknown, lines: Readonly<Record<string, unknown>>, extra: object = {}): unknown {
  const session = {
    hasCookie: "cookie" in lines,
    tokenMatches: (token: string) => csrfTokenMatches(key, lookup, token),
  };
  const request = { method, headers: { get: (name: string) => lines[name] }, ...extra };
  return Reflect.apply(judgeCsrf, undefined, [request, session, resolveOrigins([APP]), false]);
}

const COOKIE = { cookie: "__Host-sid=x" };

describe("the CSRF decision: vectors", () => {
  const cases = vectors.cases as readonly Case[];

  it.each(cases.map((one) => [one.name, one] as const))("%s", (_, { method, headers, config, expect: expected }) => {
    const origins = [APP, ...(config.trustedOrigins ?? [])];
    expect(judge(method, headers, { origins }) === null ? "allow" : "deny").toBe(expected);
  });

  it("are all there", () => {
    expect(cases).toHaveLength(44);
  });
});

describe("the CSRF decision", () => {
  it.each<[why: string, lines: Lines, expected: CsrfRefusal | null]>([
    ["the browser vouches for it", { "sec-fetch-site": "same-origin" }, null],
    ["the user typed it", { "sec-fetch-site": "none" }, null],
    ["a sibling's page sent it", { "sec-fetch-site": "same-site" }, "cross-site"],
    ["another site sent it", { "sec-fetch-site": "cross-site" }, "cross-site"],
    ["another site sent it and says so", { "sec-fetch-site": "cross-site", origin: EVIL }, "cross-site"],
    ["the application's other origin sent it", { "sec-fetch-site": "same-site", origin: APP }, null],
    ["the browser contradicts itself", { "sec-fetch-site": "none", origin: EVIL }, "foreign-origin"],
    ["the own site, of a page that sends no referrer", { "sec-fetch-site": "same-origin", origin: "null" }, null],
    [
      "an opaque origin that the user is said to have typed",
      { "sec-fetch-site": "none", origin: "null" },
      "foreign-origin",
    ],
    ["an empty Sec-Fetch-Site", { "sec-fetch-site": "", origin: APP }, "malformed"],
    ["two of them, alike", { "sec-fetch-site": "same-origin, same-origin", origin: APP }, "malformed"],
    ["one with a parameter", { "sec-fetch-site": "same-origin;a=1", origin: APP }, "malformed"],
    ["one in quotes", { "sec-fetch-site": '"same-origin"', origin: APP }, "malformed"],
    ["one that is no ASCII", { "sec-fetch-site": "same-origin\u00e9", origin: APP }, "malformed"],
    ["half a character", { "sec-fetch-site": "\ud800" }, "malformed"],
    ["a value of the future", { "sec-fetch-site": "same-party", origin: EVIL }, "foreign-origin"],
    ["a value of the future and nothing else", { "sec-fetch-site": "same-party" }, "token-missing"],
    ["a value in other case and nothing else", { "sec-fetch-site": "Same-Origin" }, "token-missing"],
    ["an empty origin", { origin: "" }, "foreign-origin"],
    ["two origins, both own", { origin: `${APP}, ${APP}` }, "foreign-origin"],
    ["an origin with a path", { origin: `${APP}/` }, "foreign-origin"],
    ["an origin with its default port", { origin: `${APP}:443` }, "foreign-origin"],
    ["an origin with a dot behind", { origin: `${APP}.` }, "foreign-origin"],
    ["an origin without its scheme", { origin: "app.test" }, "foreign-origin"],
    ["an origin with a blank", { origin: ` ${APP}` }, "foreign-origin"],
    ["an origin with half a character", { origin: `${APP}\udc00` }, "foreign-origin"],
    ["nothing at all", {}, null],
    ["nothing but a login form's fields", { "content-type": "application/x-www-form-urlencoded" }, null],
    ["nothing but a referer", { ...COOKIE, referer: `${APP}/page` }, "token-missing"],
    ["nothing but the right Host", { ...COOKIE, host: "app.test", "x-forwarded-host": "app.test" }, "token-missing"],
    ["nothing but a JSON body", { ...COOKIE, "content-type": "application/json" }, "token-missing"],
    ["nothing but the header of scripts", { ...COOKIE, "x-requested-with": "XMLHttpRequest" }, "token-missing"],
    ["a token", { ...COOKIE, "x-csrf-token": valid }, null],
    ["an empty token", { ...COOKIE, "x-csrf-token": "" }, "token-missing"],
    ["two tokens", { ...COOKIE, "x-csrf-token": `${valid}, ${valid}` }, "token-wrong"],
    ["a token under another name", { ...COOKIE, "x-xsrf-token": valid, "csrf-token": valid }, "token-missing"],
    ["a token with an opaque origin", { ...COOKIE, origin: "null", "x-csrf-token": valid }, "foreign-origin"],
    ["a token from a sibling", { ...COOKIE, "sec-fetch-site": "same-site", "x-csrf-token": valid }, "cross-site"],
    ["a bearer header", { authorization: "Bearer x", "sec-fetch-site": "cross-site" }, null],
    ["Basic authentication", { authorization: "Basic eDp5", origin: EVIL }, "foreign-origin"],
    ["two schemes", { authorization: "Basic eDp5, Bearer x", origin: EVIL }, "foreign-origin"],
    ["an empty bearer header", { authorization: "Bearer ", origin: EVIL }, "foreign-origin"],
    ["a bearer header beside the cookie", { ...COOKIE, authorization: "Bearer x" }, "token-missing"],
  ])("for a POST with %s", (_, lines, expected) => {
    expect(judge("POST", lines)).toBe(expected);
  });

  it.each(["POST", "PUT", "PATCH", "DELETE", "CONNECT", "TRACE", "PURGE", "QUERY", "get", "Get", "GET ", "", "\ud800"])(
    "takes the method %j for one that changes something",
    (method) => {
      expect(judge(method, { origin: EVIL })).toBe("foreign-origin");
      expect(judge(method, COOKIE)).toBe("token-missing");
      expect(isCsrfRelevant(method, source({}))).toBe(true);
    },
  );

  it.each(["GET", "HEAD", "OPTIONS"])("lets %s pass from wherever", (method) => {
    for (const lines of [{ origin: EVIL }, { "sec-fetch-site": "a, b" }, { "sec-fetch-site": "cross-site" }, {}]) {
      expect(judge(method, { ...COOKIE, ...lines }, { tokenAlways: true })).toBeNull();
    }
    expect(isCsrfRelevant(method, source({ ...COOKIE, accept: "text/html" }))).toBe(false);
  });

  it("judges by Sec-Fetch-Site alone where no origins are configured, and believes no Origin then", () => {
    const origins: readonly string[] = [];
    expect(judge("POST", { "sec-fetch-site": "same-origin", origin: APP }, { origins })).toBeNull();
    expect(judge("POST", { "sec-fetch-site": "same-origin", origin: "null" }, { origins })).toBeNull();
    expect(judge("POST", { "sec-fetch-site": "same-site", origin: APP }, { origins })).toBe("cross-site");
    expect(judge("POST", { origin: APP, host: "app.test" }, { origins })).toBe("foreign-origin");
    expect(judge("POST", { ...COOKIE, "x-csrf-token": valid }, { origins })).toBeNull();
  });

  it("does not ask the session about its token where provenance decides", () => {
    const tokenMatches = vi.fn<(token: string) => boolean>(() => true);
    const session = { hasCookie: true, tokenMatches };
    for (const lines of [{ origin: EVIL }, { origin: APP }, { "sec-fetch-site": "x, y" }, {}]) {
      judgeCsrf({ method: "POST", headers: source(lines), formToken: "" }, session, new Set([APP]), false);
    }
    expect(tokenMatches).not.toHaveBeenCalled();
  });

  it("names the headers that it depends on", () => {
    const read: string[] = [];
    const headers = { get: (name: string) => void read.push(name) };
    judgeCsrf({ method: "POST", headers }, sessionOf(COOKIE), new Set(), true);
    expect(CSRF_VARY).toBe("Sec-Fetch-Site, Origin");
    expect(new Set(read)).toEqual(new Set(["upgrade", "sec-fetch-site", "origin", "x-csrf-token"]));
  });
});

describe("the CSRF token of a form", () => {
  it("counts where the header is missing", () => {
    expect(judge("POST", COOKIE, { formToken: valid })).toBeNull();
    expect(judge("POST", COOKIE, { formToken: "" })).toBe("token-missing");
    expect(judge("POST", COOKIE, { formToken: mintCsrfToken(key, otherLookup) })).toBe("token-wrong");
  });

  it("does not make up for a wrong header, nor for a foreign origin", () => {
    expect(judge("POST", { ...COOKIE, "x-csrf-token": "x" }, { formToken: valid })).toBe("token-wrong");
    expect(judge("POST", { ...COOKIE, origin: EVIL }, { formToken: valid })).toBe("foreign-origin");
  });

  it.each<[string, unknown]>([
    ["a list", [valid]],
    ["an object", { token: valid }],
    ["a number", 1],
    ["null", null],
  ])("is missing when the body's parser made %s of it", (_, formToken) => {
    expect(judgeUntyped("POST", COOKIE, { formToken })).toBe("token-missing");
  });
});

describe("a token with every request", () => {
  const tokenAlways = true;

  it("is needed for unsafe methods with the cookie, although the browser vouches for them", () => {
    for (const own of [{ "sec-fetch-site": "same-origin" }, { "sec-fetch-site": "none" }, { origin: APP }]) {
      const lines = { ...COOKIE, ...own };
      expect(judge("POST", lines)).toBeNull();
      expect(judge("POST", lines, { tokenAlways })).toBe("token-missing");
      expect(judge("POST", { ...lines, "x-csrf-token": "x" }, { tokenAlways })).toBe("token-wrong");
      expect(judge("POST", { ...lines, "x-csrf-token": valid }, { tokenAlways })).toBeNull();
      expect(judge("POST", lines, { tokenAlways, formToken: valid })).toBeNull();
    }
  });

  it("is not needed without the cookie, nor where none can be sent", () => {
    expect(judge("POST", { origin: APP }, { tokenAlways })).toBeNull();
    expect(judge("POST", { authorization: "Bearer x" }, { tokenAlways })).toBeNull();
    expect(judge("GET", { ...COOKIE, upgrade: "websocket", origin: APP }, { tokenAlways })).toBeNull();
    expect(judge("GET", { ...COOKIE, accept: "text/event-stream", origin: APP }, { tokenAlways })).toBeNull();
  });

  it("does not make up for a foreign origin", () => {
    const lines = { ...COOKIE, "x-csrf-token": valid };
    expect(judge("POST", { ...lines, origin: EVIL }, { tokenAlways })).toBe("foreign-origin");
    expect(judge("POST", { ...lines, "sec-fetch-site": "cross-site" }, { tokenAlways })).toBe("cross-site");
  });
});

describe("a WebSocket upgrade", () => {
  it.each([
    "websocket",
    "WebSocket",
    " websocket ",
    "h2c, websocket",
    "h2c,WEBSOCKET,x",
    "websocket/13",
    "\twebsocket",
  ])("is seen in Upgrade: %j", (upgrade) => {
    expect(judge("GET", { ...COOKIE, upgrade, origin: EVIL })).toBe("foreign-origin");
    expect(judge("GET", { ...COOKIE, upgrade, origin: APP })).toBeNull();
    expect(isCsrfRelevant("GET", source({ upgrade }))).toBe(true);
  });

  it.each(["h2c", "websocketx", "x-websocket", "web socket", ""])("is not seen in Upgrade: %j", (upgrade) => {
    expect(judge("GET", { ...COOKIE, upgrade, origin: EVIL })).toBeNull();
  });

  it("needs provenance once it has the cookie; a token is none", () => {
    const lines = { ...COOKIE, upgrade: "websocket", "x-csrf-token": valid };
    expect(judge("GET", lines, { formToken: valid })).toBe("token-missing");
    expect(judge("POST", lines, { formToken: valid })).toBe("token-missing");
    expect(judge("GET", { ...lines, "sec-fetch-site": "same-origin" })).toBeNull();
    expect(judge("GET", { ...lines, "sec-fetch-site": "same-site" })).toBe("cross-site");
    expect(judge("GET", { upgrade: "websocket" })).toBeNull();
    expect(judge("GET", { upgrade: "websocket", origin: EVIL })).toBe("foreign-origin");
    expect(judge("GET", { upgrade: "websocket", origin: EVIL, authorization: "Bearer x" })).toBeNull();
  });
});

describe("a stream of server-sent events", () => {
  it.each(["text/event-stream", "Text/Event-Stream", "text/html, text/event-stream;q=0.9", " text/event-stream ;x"])(
    "is refused to foreign origins only, when asked for with Accept: %j",
    (accept) => {
      const lines = { ...COOKIE, accept };
      expect(judge("GET", { ...lines, origin: EVIL })).toBe("foreign-origin");
      expect(judge("GET", { ...lines, "sec-fetch-site": "same-site" })).toBe("cross-site");
      expect(judge("GET", { ...lines, "sec-fetch-site": "a b" })).toBe("malformed");
      expect(judge("GET", { ...lines, "sec-fetch-site": "same-origin" })).toBeNull();
      expect(judge("GET", { ...lines, "sec-fetch-site": "future" })).toBeNull();
      expect(judge("GET", lines)).toBeNull();
      expect(isCsrfRelevant("GET", source(lines))).toBe(true);
    },
  );

  it.each(["*/*", "text/*", "text/event-streams", "application/text/event-stream", ""])(
    "is not asked for with Accept: %j",
    (accept) => {
      expect(judge("GET", { ...COOKIE, accept, origin: EVIL })).toBeNull();
    },
  );
});

describe("headers that are no single text", () => {
  it("are read as the list they are", () => {
    expect(judgeUntyped("POST", { origin: [EVIL] })).toBe("foreign-origin");
    expect(judgeUntyped("POST", { origin: [APP, EVIL] })).toBe("foreign-origin");
    expect(judgeUntyped("POST", { origin: [APP, APP] })).toBe("foreign-origin");
    expect(judgeUntyped("POST", { "sec-fetch-site": ["same-origin", "cross-site"] })).toBe("malformed");
    expect(judgeUntyped("POST", { ...COOKIE, "x-csrf-token": [valid, valid] })).toBe("token-wrong");
    expect(judgeUntyped("GET", { upgrade: ["h2c", "websocket"], origin: EVIL })).toBe("foreign-origin");
    expect(judgeUntyped("GET", { accept: ["*/*", "text/event-stream"], origin: EVIL })).toBe("foreign-origin");
    expect(judgeUntyped("POST", { authorization: ["Bearer x"], origin: EVIL })).toBe("foreign-origin");
  });

  it.each<[string, unknown]>([
    ["an empty list", []],
    ["a list of lists", [[APP]]],
    ["an object", { toString: () => APP }],
    ["an object without prototype", Object.create(null)],
    ["a number", 7],
    ["false", false],
    ["a symbol", Symbol("origin")],
  ])("vouch for nothing: %s", (_, value) => {
    expect(judgeUntyped("POST", { origin: value })).toBe("foreign-origin");
    expect(judgeUntyped("POST", { "sec-fetch-site": value, origin: APP })).toBe("malformed");
    expect(judgeUntyped("POST", { ...COOKIE, "x-csrf-token": value })).toBe("token-missing");
    expect(judgeUntyped(value, { ...COOKIE, origin: EVIL })).toBe("foreign-origin");
  });
});

describe("the time of the CSRF decision", () => {
  const PIECES = [
    " ",
    "\t",
    ",",
    ", ",
    "websocket",
    "websocket ",
    ",websocket ",
    "text/event-stream ",
    ",text/event-stream ",
    "a",
  ];

  it.each(PIECES.map((piece) => [JSON.stringify(piece), piece] as const))("is linear in headers of %s", (_, piece) => {
    const text = piece.repeat(Math.ceil(1_000_000 / piece.length));
    const lines = {
      cookie: "x",
      upgrade: text,
      accept: text,
      "sec-fetch-site": text,
      origin: text,
      authorization: text,
    };
    const start = performance.now();
    for (const [name, value] of Object.entries(lines)) {
      judgeUntyped("GET", { [name]: value, ...COOKIE });
      judgeUntyped("POST", { [name]: value, ...COOKIE });
    }
    // Quadratic work on a million characters would take minutes.
    expect(performance.now() - start).toBeLessThan(2000);
  });
});

describe("the option origins", () => {
  it.each<[readonly string[]]>([
    [[]],
    [[APP]],
    [["https://app.test:8443", "http://localhost:3000", "http://[::1]:3000", "http://127.0.0.1"]],
    [["https://xn--mnchen-3ya.test"]],
  ])("takes %j", (list) => {
    expect([...resolveOrigins(list)]).toEqual(list);
  });

  it("is empty when left out, and keeps one of two that are alike", () => {
    expect(resolveOrigins(undefined).size).toBe(0);
    expect([...resolveOrigins([APP, APP])]).toEqual([APP]);
  });

  it.each<[unknown, string]>([
    ["https://app.test/", "'https://app.test'"],
    ["https://app.test/path?x#y", "'https://app.test'"],
    ["https://APP.test", "'https://app.test'"],
    ["HTTPS://app.test", "'https://app.test'"],
    ["https://app.test:443", "'https://app.test'"],
    ["http://app.test:80", "'http://app.test'"],
    [" https://app.test", "'https://app.test'"],
    ["https://user:secret@app.test", "'https://app.test'"],
    ["https://m\u00fcnchen.test", "'https://xn--mnchen-3ya.test'"],
    ["https:app.test", "'https://app.test'"],
    ["https://app.test\ud800", "in full"],
    ["app.test", "in full"],
    ["//app.test", "in full"],
    ["https://", "in full"],
    ["https://*.app.test", "in full"],
    ["*", "in full"],
    ["null", "in full"],
    ["", "in full"],
    ["ws://app.test", "in full"],
    ["ftp://app.test", "in full"],
    ["file:///x", "in full"],
    ["blob:https://app.test/x", "in full"],
    ["javascript:alert(1)", "in full"],
    [undefined, "in full"],
    [null, "in full"],
    [7, "in full"],
    [[APP], "in full"],
    [new URL(APP), "in full"],
  ])("refuses %j and says what to write", (entry, advice) => {
    const resolve = (): unknown => resolveOrigins([APP, entry]);
    expect(resolve).toThrow(OptionsError);
    expect(resolve).toThrow(/^origins\[1\]: write /);
    expect(resolve).toThrow(advice);
    expect(resolve).not.toThrow(/secret/);
  });

  it.each<[unknown]>([[null], [APP], [{ 0: APP }], [new Set([APP])], [7], [true]])(
    "refuses %j, which is no list",
    (list) => {
      expect(() => resolveOrigins(list)).toThrow(/^origins: write a list such as \['https:/);
      expect(() => resolveOrigins(list)).toThrow(OptionsError);
    },
  );

  it("answers the same a hundred thousand times: Node's shortcuts for hot code change nothing", () => {
    const advice = new Set(Array.from({ length: 100_000 }, () => adviceFor("https://m\u00fcnchen.test")));
    expect([...advice]).toEqual(["origins[0]: write 'https://xn--mnchen-3ya.test'."]);
  });

  it("refuses a list with holes", () => {
    expect(() => resolveOrigins(Array(2))).toThrow(OptionsError);
  });
});

function adviceFor(entry: string): string {
  try {
    return [...resolveOrigins([entry])].join(", ");
  } catch (error) {
    return (error as Error).message;
  }
}
