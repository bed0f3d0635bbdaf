/** What each call costs: the table "What it costs" of docs/authentication.md. */
import { createSessionManager, generateKey, openSession, type OpenedSession, type SessionManager } from "symbolon";
import { oneTimeTokens } from "symbolon/auth/one-time-tokens";
import { memoryStore } from "symbolon/stores/memory";
import { describe, expect, it } from "vitest";
import type { Options } from "../support/sessions.ts";
import { spied } from "../support/stores.ts";

type Request = OpenedSession<Record<string, unknown>>;

interface World {
  readonly sessions: SessionManager;
  /** A request of nobody's. */
  readonly visit: () => Promise<Request>;
  /** A request of a session that began like this. */
  readonly visitAs: (begun: object) => Promise<Request>;
  /** What a step asks of the store. */
  readonly costOf: (step: () => unknown) => Promise<string>;
}

function world(options: Options = {}): World {
  const { store, calls } = spied(memoryStore());
  const sessions = createSessionManager({ store, keys: [generateKey()], pruneEvery: false, ...options });
  return {
    sessions,
    visit: () => openSession(sessions, new Headers()),
    visitAs: async (begun) => {
      const { token } = await sessions.create(begun);
      return openSession(sessions, new Headers({ Cookie: `__Host-sid=${token}` }));
    },
    costOf: async (step) => {
      calls.length = 0;
      await step();
      return calls.join(" ");
    },
  };
}

const ADA = { userId: "ada", stamp: "1", roles: ["a"] };
const uncounted = { limits: { perUser: false } } as const;

type Act = (request: Request, of: World) => unknown;

describe("the store is asked no more than docs/authentication.md says", () => {
  it.each<[what: string, expected: string, begun: object | null, act: Act, options?: Options]>([
    ["a login, no session before", "admit", null, ({ session }) => session.login("ada")],
    ["a login of a visitor", "admit delete", {}, ({ session }) => session.login("ada")],
    ["a login in another's session", "admit delete", { userId: "bob" }, ({ session }) => session.login("ada")],
    ["a login again", "admit", ADA, ({ session }) => session.login("ada")],
    ["a login again, uncounted", "create delete", ADA, ({ session }) => session.login("ada"), uncounted],
    ["a pending login", "create", null, ({ session }) => session.login("ada", { pending: "code" })],
    ["a pending login of a visitor", "create delete", {}, ({ session }) => session.login("ada", { pending: "code" })],
    ["acting as a user", "create delete", { userId: "bob" }, ({ session }) => session.login("ada", { actor: "bob" })],
    ["a logout", "delete", ADA, ({ session }) => session.logout()],
    ["a stamp that agrees", "", ADA, ({ session }) => session.checkStamp("1")],
    ["a stamp that differs", "update", ADA, ({ session }) => session.checkStamp("2")],
    ["keepLogin", "update deleteByOwner deleteByOwner deleteByOwner", ADA, ({ session }) => session.keepLogin("2")],
    ["other roles", "update", ADA, ({ session }) => session.setRoles(["b"])],
    ["the same roles", "", ADA, ({ session }) => session.setRoles(["a"])],
    ["extra values", "update", ADA, ({ session }) => session.setExtra({ a: 1 })],
    [
      "an update by handle",
      "read update",
      ADA,
      ({ session }, { sessions }) => sessions.update("ada", session.id ?? "", { roles: ["b"] }),
    ],
    ["an end by handle", "read delete", ADA, ({ session }, { sessions }) => sessions.revoke("ada", session.id ?? "")],
    ["an update of all", "listByOwner update", ADA, (_, { sessions }) => sessions.updateAll("ada", { roles: ["b"] })],
    [
      "an end of all",
      "deleteByOwner deleteByOwner deleteByOwner deleteByOwner",
      ADA,
      (_, { sessions }) => sessions.revokeAll("ada"),
    ],
    [
      "an end of all sessions, API tokens kept",
      "deleteByOwner deleteByOwner deleteByOwner",
      ADA,
      (_, { sessions }) => sessions.revokeAll("ada", { apiTokens: "keep" }),
    ],
    ["a list", "listByOwner", ADA, (_, { sessions }) => sessions.list({ userId: "ada" })],
    ["a message", "update", ADA, (request) => commitAfter(request, () => request.session.flash("notice", "Saved."))],
    ["a reset", "delete", ADA, (request) => commitAfter(request, () => request.session.reset())],
    ["a CSRF token", "", ADA, (request) => commitAfter(request, () => request.session.csrfToken())],
    ["a visitor's CSRF token", "create", null, (request) => commitAfter(request, () => request.session.csrfToken())],
  ])("%s: %s", async (_, expected, begun, act, options) => {
    const one = world(options);
    const request = begun === null ? await one.visit() : await one.visitAs(begun);
    expect(await one.costOf(() => act(request, one))).toBe(expected);
  });

  it("one-time tokens", async () => {
    const one = world();
    const tokens = oneTimeTokens(one.sessions);
    let token = "";
    expect(
      await one.costOf(async () => {
        token = await tokens.issue("reset", { userId: "ada" });
      }),
    ).toBe("create");
    expect(await one.costOf(() => tokens.peek("reset", token))).toBe("read");
    expect(await one.costOf(() => tokens.consume("reset", token))).toBe("read delete");
  });
});

async function commitAfter(request: Request, change: () => unknown): Promise<void> {
  change();
  await request.commit();
}
