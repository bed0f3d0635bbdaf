/** The published contract on a binding of one's own: the one of the documents keeps it, and broken ones are found out. */
import { readFileSync } from "node:fs";
import { frameworkContract } from "symbolon/testing";
import { describe, expect, test } from "vitest";
import { DELETION } from "../../../dist/testing/contract/framework-stage.js";
import { houseTarget, type Mistake } from "./support/house-targets.ts";

const cases = frameworkContract.filter(({ needs }) =>
  needs.every((ability) => houseTarget("").abilities.includes(ability)),
);

describe("the binding that the documents show", () => {
  for (const { name, run } of cases) test(name, () => run(houseTarget("the house framework")));

  test("is the one that is run here", () => {
    const [source, page] = ["./support/house-binding.ts", "../../../../../docs/frameworks.md"].map((file) =>
      readFileSync(new URL(file, import.meta.url), "utf8"),
    );
    expect(page).toContain(source?.slice(source.indexOf("import ")));
  });
});

const MISTAKES: readonly (readonly [what: string, mistake: Mistake, breaks: RegExp, found: readonly string[]])[] = [
  [
    "answers before the store has",
    {
      plant: (opened) => ({
        async commit() {
          void opened.commit().catch(() => undefined);
          return [];
        },
      }),
    },
    /./,
    [
      "sends no byte of a page before the store has the data",
      "sends no byte of a redirect before the store has the data",
      "sends no byte of an answer to HEAD before the store has the data",
      "sends the cookie of a new session only when the store has it",
      "answers 503 instead of the handler's answer when the store cannot be written",
      "a login waits for the store's admit before any header leaves",
      "the next token is stored before the header leaves",
    ],
  ],
  [
    "keeps plain data of handlers that fail",
    { plant: () => ({ discard() {} }) },
    /fail|throws|rejects|answers 50|any answer|error page/,
    [
      "drops plain data of a handler that throws at once, and begins no session",
      "drops plain data of a handler that answers 500 itself, and begins no session",
      "a CSRF token begins no session when the page that holds it fails",
    ],
  ],
  [
    "swallows what the store says",
    { plant: (opened) => ({ commit: () => opened.commit().catch(() => opened.cookies()) }) },
    /answers? 50|answered 409|answers 4|the store does|became impossible|writes refused|where the store fails/,
    [
      "answers 500 to data that cannot be stored, sends nothing of the handler's, and leaves the session as it was",
      "answers 409 to a strict conflict",
      "answers 503 instead of the handler's answer when the store cannot be written",
    ],
  ],
  [
    "takes the cookie away where a session ended meanwhile",
    {
      plant(opened) {
        const hadOne = opened.session.id !== null;
        return {
          async commit() {
            const cookies = await opened.commit();
            return cookies.length === 0 && hadOne && opened.session.id === null ? [DELETION] : cookies;
          },
        };
      },
    },
    // To ask whether there was one is to look at the session.
    /no cookie|session of a user whose stamp|requireStamp judges|stays cacheable/,
    [
      "a request that logs in wins over one that waits in its handler, which then sends no cookie at all",
      "a request that logs out wins over one that waits in its store, which then sends no cookie at all",
      "a stamp that changed ends the session; the next request is told, and no cookie is taken away",
    ],
  ],
  [
    "forgets what changes while a body streams",
    { plant: () => ({ needsLateCommit: () => false }) },
    /after the (?:headers left|first part)|late change/,
    [
      "saves what changed after the first part of a body before its last byte",
      "a response is cut when what changed after the first part of the body cannot be saved",
      "a response is cut when a session is begun by a change after the headers left",
    ],
  ],
  [
    "lets other sites in",
    { plant: () => ({ csrfRefusal: () => null }) },
    /site|refuses|refused|csrf|CSRF|cookie of a login/,
    [
      "refuses a form of another site: cross-site (POST)",
      "refuses a token of another session: token-wrong (POST)",
      "another site can log nobody in, nor out",
      "another site's page opens no WebSocket, and a token is no provenance",
    ],
  ],
  [
    "lets caches share what depends on the session",
    { plant: () => ({ isUsed: false }) },
    /./,
    [
      "an answer that depends on the session is kept by no shared cache, whatever the handler says",
      "says why a token opened no session, in an answer that stays private",
      "requireLogin judges everybody, and answers the others with a problem document",
    ],
  ],
  [
    "refuses every form",
    { plant: () => ({ csrfRefusal: ({ method }) => (method === "GET" ? null : "cross-site") }) },
    /./,
    [
      "lets a form of an own page through (POST)",
      "lets a program without cookies through (POST)",
      "lets a token in the header through (PUT)",
      "lets a preflight through (OPTIONS)",
      "csrf: false judges nothing",
    ],
  ],
  [
    "begins a session for everybody",
    {
      plant: (opened) => ({
        async commit() {
          opened.session.data = { seen: true };
          return opened.commit();
        },
      }),
    },
    /./,
    [
      "an anonymous visitor costs no store call and gets no cookie while nothing is stored",
      "an anonymous visitor who logs out gets no cookie and costs no write",
      "deletes no cookie whose token was dead before: the browser may have a newer one by then",
      "a token is not found elsewhere than in its cookie",
    ],
  ],
  [
    "ends a body that broke off as if it were whole",
    { endsWhole: true },
    /is cut|not cut in silence|cuts/,
    [
      "a response is cut when a session is begun by save() after the headers left",
      "a response is cut when a session is begun by login() after the headers left",
      "cuts the response of a handler that fails after the headers, and drops plain data",
    ],
  ],
  [
    "challenges whoever is refused",
    { plant: () => ({ challenge: () => "Bearer" }) },
    /challenge/,
    ["guards challenge nobody where sessions come in cookies only"],
  ],
  [
    "takes every connection for https",
    { believesHttp: true },
    /plain http/,
    [
      "plain http neither reads a cookie nor sends one, and nothing is stored; an event says why",
      "a login over plain http throws NotSupportedError, and stores nothing",
    ],
  ],
  [
    "has guards that let everybody pass",
    { guard: () => () => null },
    /guards|require|onRefused/,
    [
      ...["Login", "Role", "Fresh", "Stamp", "Pending"].flatMap((name) => [
        `require${name} judges everybody, and answers the others with a problem document`,
        `require${name} guards every method but OPTIONS, whatever cookie comes`,
      ]),
      "onRefused answers instead of the guard, at once, in an answer that stays private",
    ],
  ],
  [
    "has guards that stop preflights",
    { judgesOptions: true },
    /every method but OPTIONS/,
    ["requireLogin guards every method but OPTIONS, whatever cookie comes"],
  ],
  [
    "takes a guard that fails for one that lets pass",
    {
      guard: (guard) => async (session) => {
        try {
          return await guard(session);
        } catch {
          return null;
        }
      },
    },
    /requireStamp answers 50/,
    [
      "requireStamp answers 500, and lets nobody pass, when the application's function fails",
      "requireStamp answers 503, and lets nobody pass, when the session cannot be ended",
    ],
  ],
];

/** The cases that a broken binding does not pass. */
async function failuresOf(mistake: Mistake): Promise<string[]> {
  const failed: string[] = [];
  for (const { name, run } of cases) {
    await run(houseTarget("broken", mistake)).catch(() => failed.push(name));
  }
  return failed;
}

describe("a binding that", () => {
  test.each(MISTAKES)("%s is found out, by the cases that say so", { timeout: 120_000 }, async (...row) => {
    const [, mistake, breaks, found] = row;
    const failures = await failuresOf(mistake);
    expect(failures).toEqual(expect.arrayContaining([...found]));
    expect(failures.filter((name) => !breaks.test(name))).toEqual([]);
  });

  test("makes no mistake passes, though it is built as those are", async () => {
    expect(await failuresOf({})).toEqual([]);
  });
});
