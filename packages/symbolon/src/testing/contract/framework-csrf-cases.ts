/** Cases of requests that another site may have sent: they reach no handler, and change nothing. */
import assert from "node:assert/strict";
import type { CsrfRefusal, SessionEvent } from "../../core/events.ts";
import { manualClock } from "../manual-clock.ts";
import type { Answer } from "./framework-client.ts";
import {
  assertPrivate,
  type Backstage,
  COOKIE,
  HTTPS,
  type Lines,
  type Options,
  OWN_PAGE,
  type Served,
  type Stage,
  staged,
  tokenIn,
  visitor,
} from "./framework-stage.ts";
import type { FrameworkCase, Handler } from "./framework-target.ts";

const APP = "https://app.test";
const EVIL = "https://evil.test";
const CROSS_SITE = { "sec-fetch-site": "cross-site" };

/** An application that counts who comes through, and what is refused before it. */
interface Watched {
  readonly behind: Backstage;
  readonly served: Served;
  readonly refusals: readonly SessionEvent<"csrf-refused">[];
  /** How often the handler ran. */
  readonly reached: () => number;
  /** Sends a request as it is, over https: with a cookie and nothing else, nobody knows where it comes from. */
  readonly send: (method: string, headers: Lines, path?: string) => Promise<Answer>;
}

const welcome: Handler = ({ respond }) => respond.send(200, "reached");

async function watch({ backstage, serve }: Stage, options: Options = {}, handler = welcome): Promise<Watched> {
  const behind = backstage({ origins: [APP], ...options });
  const refusals: SessionEvent<"csrf-refused">[] = [];
  behind.sessions.on("csrf-refused", (event) => refusals.push(event));
  let count = 0;
  const served = await serve(behind, (exchange) => {
    count++;
    return handler(exchange);
  });
  const send: Watched["send"] = (method, headers, path = "/") =>
    served.ask({ path, method, headers: { ...HTTPS, ...headers } }).answer;
  return { behind, served, refusals, reached: () => count, send };
}

/** A user's session, and CSRF tokens of it and of another. */
interface Known {
  readonly id: string | null;
  readonly token: string;
  readonly cookie: string;
  readonly valid: string;
  readonly ofAnother: string;
}

async function knownUser({ sessions }: Backstage): Promise<Known> {
  const session = await sessions.create({ userId: "ada" });
  const another = await sessions.create({ userId: "ada" });
  const { id, token } = session;
  return { id, token, cookie: `${COOKIE}=${token}`, valid: session.csrfToken(), ofAnother: another.csrfToken() };
}

/** What every refused request is like, whatever framework. */
function assertRefused(answer: Answer): void {
  assert.deepEqual([answer.status, answer.cookies], [403, []]);
  assert.ok(!answer.text.includes("reached"));
  assertPrivate(answer, "Sec-Fetch-Site", "Origin");
}

/** Requests, and why they are refused; null for those that pass. */
const DECISIONS: readonly (readonly [
  what: string,
  method: string,
  refusal: CsrfRefusal | null,
  lines: (known: Known) => Lines,
])[] = [
  ["a form of an own page", "POST", null, ({ cookie }) => ({ cookie, ...OWN_PAGE })],
  ["a form of a listed origin", "POST", null, ({ cookie }) => ({ cookie, origin: APP })],
  ["a form of a bookmark", "POST", null, ({ cookie }) => ({ cookie, "sec-fetch-site": "none" })],
  ["a program without cookies", "POST", null, () => ({})],
  ["a token in the header", "PUT", null, ({ cookie, valid }) => ({ cookie, "x-csrf-token": valid })],
  ["a link on another site", "GET", null, ({ cookie }) => ({ cookie, origin: EVIL, ...CROSS_SITE })],
  ["a look at the header from another site", "HEAD", null, ({ cookie }) => ({ cookie, ...CROSS_SITE })],
  ["a preflight", "OPTIONS", null, () => ({ origin: EVIL })],
  ["a form of another site", "POST", "cross-site", ({ cookie }) => ({ cookie, ...CROSS_SITE })],
  ["a form of another subdomain", "POST", "cross-site", ({ cookie }) => ({ cookie, "sec-fetch-site": "same-site" })],
  ["a form of a foreign origin", "POST", "foreign-origin", ({ cookie }) => ({ cookie, origin: EVIL })],
  ["a form of a hidden origin", "DELETE", "foreign-origin", ({ cookie }) => ({ cookie, origin: "null" })],
  [
    "a foreign origin that has a token",
    "POST",
    "foreign-origin",
    ({ cookie, valid }) => ({ cookie, origin: EVIL, "x-csrf-token": valid }),
  ],
  [
    "two values in one header",
    "PATCH",
    "malformed",
    ({ cookie }) => ({ cookie, "sec-fetch-site": "same-origin, same-origin", origin: APP }),
  ],
  ["a cookie and nothing else", "POST", "token-missing", ({ cookie }) => ({ cookie })],
  [
    "a token of another session",
    "POST",
    "token-wrong",
    ({ cookie, ofAnother }) => ({ cookie, "x-csrf-token": ofAnother }),
  ],
];

const decisionCases = DECISIONS.map(([what, method, reason, lines]): FrameworkCase => {
  return {
    name: reason === null ? `lets ${what} through (${method})` : `refuses ${what}: ${reason} (${method})`,
    needs: [],
    run: staged(async (stage) => {
      const { behind, reached, refusals, send } = await watch(stage);
      const known = await knownUser(behind);
      const headers = lines(known);
      const before = behind.calls().length;
      const answer = await send(method, headers);
      assert.deepEqual(
        behind
          .calls()
          .slice(before)
          .filter((call) => call !== "read"),
        [],
      );
      assert.deepEqual([reached(), refusals.length], reason === null ? [1, 0] : [0, 1]);
      if (reason === null) return assert.equal(answer.status, 200);
      assertRefused(answer);
      const { at: _at, ...facts } = refusals[0] ?? {};
      assert.deepEqual(facts, {
        type: "csrf-refused",
        reason,
        id: known.id,
        userId: "ada",
        method,
        origin: headers["origin"] ?? null,
        enforced: true,
      });
    }),
  };
});

/** The ways to have requests judged otherwise. */
const optionCases: readonly FrameworkCase[] = [
  {
    name: "csrf: false judges nothing",
    needs: [],
    run: staged(async (stage) => {
      const { behind, refusals, send } = await watch(stage, { csrf: false });
      const { cookie } = await knownUser(behind);
      const answer = await send("POST", { cookie, origin: EVIL, ...CROSS_SITE });
      assert.deepEqual([answer.status, answer.text, refusals.length], [200, "reached", 0]);
    }),
  },
  {
    name: "csrf: 'report' lets pass, and raises the events that would have been refusals",
    needs: [],
    run: staged(async (stage) => {
      const { behind, reached, refusals, send } = await watch(stage, { csrf: "report" });
      const { cookie } = await knownUser(behind);
      assert.equal((await send("POST", { cookie, origin: EVIL })).status, 200);
      assert.equal((await send("POST", { cookie, origin: APP })).status, 200);
      assert.equal(reached(), 2);
      assert.deepEqual(
        refusals.map(({ reason, enforced }) => [reason, enforced]),
        [["foreign-origin", false]],
      );
    }),
  },
  {
    name: "csrf: 'token' demands one of every page of one's own, save where there is no session cookie",
    needs: [],
    run: staged(async (stage) => {
      const { behind, refusals, send } = await watch(stage, { csrf: "token" });
      const { cookie, valid, ofAnother } = await knownUser(behind);
      assertRefused(await send("POST", { ...OWN_PAGE, cookie }));
      assertRefused(await send("POST", { ...OWN_PAGE, cookie, "x-csrf-token": ofAnother }));
      assertRefused(await send("POST", { cookie, origin: EVIL, "x-csrf-token": valid }));
      assert.deepEqual(
        refusals.map(({ reason }) => reason),
        ["token-missing", "token-wrong", "foreign-origin"],
      );
      assert.equal((await send("POST", { ...OWN_PAGE, cookie, "x-csrf-token": valid })).status, 200);
      assert.equal((await send("POST", OWN_PAGE)).status, 200);
      assert.equal((await send("GET", { cookie })).status, 200);
    }),
  },
];

/** CSRF tokens, where they come from and where they are looked for. */
const csrfTokenCases: readonly FrameworkCase[] = [
  {
    name: "a CSRF token gives an anonymous visitor a session with that very response, and no second one",
    needs: [],
    run: staged(async (stage) => {
      const { behind, served, send } = await watch(stage, {}, ({ path, session, respond }) => {
        respond.send(200, path === "/form" ? session.csrfToken() : "reached");
      });
      const browser = visitor(served);
      const first = await browser.get("/form");
      assertPrivate(first);
      assert.equal(browser.cookies(), `${COOKIE}=${tokenIn(first)}`);
      assert.deepEqual(behind.calls(), ["create"]);
      assert.deepEqual((await browser.get("/form")).cookies, []);
      assert.equal((await send("POST", { cookie: browser.cookies(), "x-csrf-token": first.text })).status, 200);
      const other = visitor(served);
      await other.get("/form");
      assertRefused(await send("POST", { cookie: other.cookies(), "x-csrf-token": first.text }));
    }),
  },
  {
    name: "a CSRF token begins no session when the page that holds it fails",
    needs: [],
    run: staged(async (stage) => {
      const { behind, served } = await watch(stage, {}, ({ session, respond }) => {
        respond.send(500, session.csrfToken());
      });
      assert.deepEqual((await served.get("/")).cookies, []);
      assert.deepEqual(behind.calls(), []);
    }),
  },
  {
    name: "a CSRF token is not taken from the URL, from a cookie, or from another header",
    needs: [],
    run: staged(async (stage) => {
      const { behind, refusals, send } = await watch(stage);
      const { cookie, valid } = await knownUser(behind);
      const headers = {
        cookie: `${cookie}; _csrf=${valid}; csrf=${valid}; XSRF-TOKEN=${valid}`,
        "csrf-token": valid,
        "x-xsrf-token": valid,
        referer: `${APP}/?_csrf=${valid}`,
      };
      assertRefused(await send("POST", headers, `/?_csrf=${valid}&x-csrf-token=${valid}`));
      assert.deepEqual(
        refusals.map(({ reason }) => reason),
        ["token-missing"],
      );
    }),
  },
];

export const csrfCases: readonly FrameworkCase[] = [
  ...decisionCases,
  {
    name: "a refused request is no use of the session: it writes no touch, and sends no longer cookie",
    needs: [],
    run: staged(async (stage) => {
      const clock = manualClock();
      const { behind, send } = await watch(stage, { clock, cookie: { persistent: true } });
      const { cookie } = await knownUser(behind);
      clock.advance(1_800_000);
      const before = behind.calls().length;
      assertRefused(await send("POST", { cookie, origin: EVIL }));
      assert.deepEqual(behind.calls().slice(before), ["read"]);
      // The application's own page would have been one.
      assert.equal((await send("POST", { cookie, origin: APP })).cookies.length, 1);
    }),
  },
  {
    name: "another site can log nobody in, nor out",
    needs: [],
    run: staged(async (stage) => {
      const { behind, reached, send } = await watch(stage, {}, async ({ path, session, respond }) => {
        if (path === "/login") await session.login("eve");
        else await session.logout();
        respond.send(200, "reached");
      });
      const { token, cookie } = await knownUser(behind);
      for (const provenance of [{ origin: EVIL }, { origin: "null" }, CROSS_SITE]) {
        assertRefused(await send("POST", provenance, "/login"));
        assertRefused(await send("POST", { ...provenance, cookie }, "/logout"));
      }
      assert.equal(reached(), 0);
      assert.equal((await behind.sessions.validate(token))?.userId, "ada");
      assert.equal(await behind.sessions.count({ userId: "eve" }), 0);
    }),
  },
  {
    name: "another site is refused with a dead cookie, an ambiguous one, and over plain http, too",
    needs: [],
    run: staged(async (stage) => {
      const { behind, served, reached, send } = await watch(stage);
      const { token, cookie } = await knownUser(behind);
      await behind.sessions.revokeToken(token);
      for (const dead of [cookie, `${COOKIE}=x`, `${COOKIE}=x; ${COOKIE}=y`]) {
        assertRefused(await send("POST", { cookie: dead }));
      }
      const { cookie: alive } = await knownUser(behind);
      for (const headers of [{ cookie: alive }, { origin: EVIL }]) {
        assertRefused(await served.ask({ path: "/", method: "POST", headers }).answer);
      }
      assert.equal(reached(), 0);
    }),
  },
  {
    name: "another site's page gets no stream of events",
    needs: [],
    run: staged(async (stage) => {
      const { behind, send } = await watch(stage);
      const { cookie } = await knownUser(behind);
      const accept = "text/event-stream";
      assertRefused(await send("GET", { cookie, accept, origin: EVIL }));
      assert.equal((await send("GET", { cookie, accept, origin: APP })).status, 200);
      assert.equal((await send("GET", { cookie, accept, ...OWN_PAGE })).status, 200);
    }),
  },
  {
    name: "another site's page opens no WebSocket, and a token is no provenance",
    // HTTP/2 has no such header.
    needs: ["http1"],
    run: staged(async (stage) => {
      const { behind, reached, send } = await watch(stage);
      const { cookie, valid } = await knownUser(behind);
      const handshake = { connection: "Upgrade", upgrade: "websocket" };
      assertRefused(await send("GET", { ...handshake, cookie, origin: EVIL }));
      assertRefused(await send("GET", { ...handshake, origin: EVIL }));
      assertRefused(await send("GET", { ...handshake, cookie }));
      assertRefused(await send("GET", { ...handshake, cookie, "x-csrf-token": valid }));
      assert.equal(reached(), 0);
      assert.equal((await send("GET", { ...handshake, cookie, origin: APP })).status, 200);
      assert.equal((await send("GET", handshake)).status, 200);
    }),
  },
  ...optionCases,
  ...csrfTokenCases,
];
