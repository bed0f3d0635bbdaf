/** Flash messages: written by one request, shown once by another. */
import {
  createSessionManager,
  generateKey,
  type OpenedSession,
  openSession,
  type Session,
  type SessionManager,
  type SessionManagerOptions,
} from "symbolon";
import { withSession } from "symbolon/frameworks/fetch";
import { memoryStore } from "symbolon/stores/memory";
import { describe, expect, it } from "vitest";
import { found, opened, taken, untyped } from "../support/sessions.ts";
import { spied } from "../support/stores.ts";
import { everyOrder, play, stageOn } from "../support/turns.ts";

type Options = Partial<SessionManagerOptions<Record<string, unknown>>>;
type RequestSession = OpenedSession<Record<string, unknown>>;

const USER = "user-1";

function manager(options: Options = {}): SessionManager {
  return createSessionManager({ store: memoryStore(), keys: [generateKey()], pruneEvery: false, ...options });
}

/** A request with a session's cookie, or with none. */
function request(sessions: SessionManager, token: string | null = null): Promise<RequestSession> {
  return openSession(sessions, new Headers(token === null ? {} : { Cookie: `__Host-sid=${token}` }));
}

/** Sends the response; answers the token in its cookie, null when there is none. */
async function respond(one: RequestSession): Promise<string | null> {
  const cookies = await one.commit();
  expect(cookies.length).toBeLessThanOrEqual(1);
  return /(s1_[\w-]+)/.exec(cookies[0] ?? "")?.[1] ?? null;
}

/** The messages of a kind that the session's next page shows. */
async function shown(sessions: SessionManager, token: string, kind: string): Promise<string[]> {
  const session = await opened(sessions, token);
  const texts = session.flash(kind);
  await session.save();
  return texts;
}

async function withMessages(sessions: SessionManager, ...texts: readonly string[]): Promise<string> {
  const { token } = await sessions.create({ userId: USER, data: { n: 1 } });
  const session = await opened(sessions, token);
  for (const text of texts) session.flash("info", text);
  await session.save();
  return token;
}

describe("a flash message", () => {
  it("is shown once, by a later request", async () => {
    const sessions = manager();
    const token = await withMessages(sessions, "Saved.");
    expect(await shown(sessions, token, "info")).toEqual(["Saved."]);
    expect(await shown(sessions, token, "info")).toEqual([]);
    expect((await opened(sessions, token)).data).toEqual({ n: 1 });
  });

  it("waits for as many requests as do not ask for its kind", async () => {
    const sessions = manager();
    const token = await withMessages(sessions, "Saved.");
    for (let round = 0; round < 3; round++) {
      const session = await opened(sessions, token);
      expect(session.flash("error")).toEqual([]);
      session.data["n"] = round;
      await session.save();
    }
    expect(await shown(sessions, token, "info")).toEqual(["Saved."]);
  });

  it("is handed out once in a request, and not again after a save", async () => {
    const sessions = manager();
    const session = await opened(sessions, await withMessages(sessions, "one"));
    expect([session.flash("info"), session.flash("info")]).toEqual([["one"], []]);
    await session.save();
    expect(session.flash("info")).toEqual([]);
    expect(session.isModified).toBe(false);
  });

  it("may be shown by the very request that wrote it, and is then not stored", async () => {
    const { store, calls } = spied(memoryStore());
    const sessions = manager({ store });
    const one = await request(sessions);
    one.session.flash("info", "now");
    expect(one.session.flash("info")).toEqual(["now"]);
    expect(await respond(one)).toBeNull();
    expect(calls).toEqual([]);
    const token = await withMessages(sessions);
    const session = await opened(sessions, token);
    session.flash("info", "now");
    session.flash("info", "both");
    expect(session.flash("info")).toEqual(["now", "both"]);
    await session.save();
    expect(await shown(sessions, token, "info")).toEqual([]);
  });

  it("comes in the order it was written in, those of former requests first", async () => {
    const sessions = manager();
    const token = await withMessages(sessions, "1", "2");
    const session = await opened(sessions, token);
    session.flash("info", "3");
    await session.save();
    session.flash("info", "4");
    await session.save();
    const last = await opened(sessions, token);
    last.flash("info", "5");
    expect(last.flash("info")).toEqual(["1", "2", "3", "4", "5"]);
  });

  it("is of one kind, and taking one kind leaves the others", async () => {
    const sessions = manager();
    const token = await withMessages(sessions, "i1");
    const session = await opened(sessions, token);
    session.flash("error", "e1");
    session.flash("info", "i2");
    session.flash("Error", "E1");
    await session.save();
    expect(await shown(sessions, token, "error")).toEqual(["e1"]);
    expect(await shown(sessions, token, "info")).toEqual(["i1", "i2"]);
    expect(await shown(sessions, token, "Error")).toEqual(["E1"]);
  });

  it("keeps its text as it is, the same text twice as two messages", async () => {
    const sessions = manager();
    const texts = ["<b>&\"'</b>\n\u0000", "\u{1f600}\u6f22\u0301", "same", "same", " "];
    expect(await shown(sessions, await withMessages(sessions, ...texts), "info")).toEqual(texts);
  });

  it("makes the session modified, by being written and by being taken, and not by being asked for in vain", async () => {
    const sessions = manager();
    const token = await withMessages(sessions);
    const session = await opened(sessions, token);
    session.flash("info");
    expect([session.isModified, await session.save()]).toEqual([false, "unchanged"]);
    session.flash("info", "text");
    expect([session.isModified, await session.save()]).toEqual([true, "saved"]);
    session.flash("info");
    expect([session.isModified, await session.save()]).toEqual([true, "saved"]);
  });

  it("is not in the data, and the data is not sealed again for it", async () => {
    const sessions = manager();
    const token = await withMessages(sessions, "hidden");
    const session = await opened(sessions, token);
    expect(session.data).toEqual({ n: 1 });
    expect(JSON.stringify(session)).not.toContain("hidden");
    const { sessions: listed } = await sessions.list({ userId: USER });
    expect(JSON.stringify(listed)).not.toContain("hidden");
  });
});

describe("of too many flash messages", () => {
  it("the oldest give way, of whatever kind, and eight are left", async () => {
    const sessions = manager();
    const token = await withMessages(sessions, "1", "2", "3");
    const session = await opened(sessions, token);
    for (const text of ["4", "5", "6", "7", "8"]) session.flash("error", text);
    await session.save();
    expect((await opened(sessions, token)).flash("info")).toEqual(["1", "2", "3"]);
    const later = await opened(sessions, token);
    later.flash("notice", "9");
    later.flash("notice", "10");
    await later.save();
    const last = await opened(sessions, token);
    expect(last.flash("info")).toEqual(["3"]);
    expect(last.flash("error")).toEqual(["4", "5", "6", "7", "8"]);
    expect(last.flash("notice")).toEqual(["9", "10"]);
  });

  it("a request that wrote more keeps its last eight", async () => {
    const sessions = manager();
    const texts = Array.from({ length: 20 }, (_, index) => String(index));
    const token = await withMessages(sessions, ...texts);
    expect(await shown(sessions, token, "info")).toEqual(texts.slice(-8));
  });

  it("those that are taken make room first", async () => {
    const sessions = manager();
    const token = await withMessages(sessions, "1", "2", "3", "4", "5", "6", "7", "8");
    const session = await opened(sessions, token);
    session.flash("error", "new");
    // "1" has given way; what is taken leaves room.
    expect(session.flash("info")).toEqual(["2", "3", "4", "5", "6", "7", "8"]);
    session.flash("error", "newer");
    await session.save();
    expect(await shown(sessions, token, "error")).toEqual(["new", "newer"]);
  });

  it.each([
    ["x", 7],
    ["\u6f22", 2],
    ['"', 4],
  ])(
    "the oldest give way as well where all are over 2500 bytes: of eight with 300 %s each, %i are left",
    async (character, left) => {
      const sessions = manager();
      const texts = Array.from({ length: 8 }, (_, index) => `${index}${character.repeat(299)}`);
      const token = await withMessages(sessions, ...texts);
      expect(await shown(sessions, token, "info")).toEqual(texts.slice(-left));
      // However many requests they come from.
      for (const text of texts) {
        const session = await opened(sessions, token);
        session.flash("info", text);
        expect(await session.save()).toBe("saved");
      }
      expect(await shown(sessions, token, "info")).toEqual(texts.slice(-left));
    },
  );

  it("the request that writes them is shown no more than its next page would be", async () => {
    const sessions = manager();
    const session = await opened(sessions, await withMessages(sessions));
    for (let index = 0; index < 8; index++) session.flash("info", `${index}${"\u6f22".repeat(299)}`);
    expect(session.flash("info").map((text) => text[0])).toEqual(["6", "7"]);
  });

  it("they leave room for roles and extra values, so that the save works", async () => {
    const sessions = manager();
    const { token } = await sessions.create({ userId: USER, roles: ["editor"], extra: { note: "x".repeat(4500) } });
    for (let round = 0; round < 3; round++) {
      const session = await opened(sessions, token);
      for (let index = 0; index < 8; index++) session.flash("error", "\u6f22".repeat(300));
      session.flash("info", "short");
      session.data["round"] = round;
      expect(await session.save()).toBe("saved");
    }
    const after = await opened(sessions, token);
    expect([after.data, after.roles]).toEqual([{ round: 2 }, ["editor"]]);
    expect(after.flash("info")).toEqual(["short"]);
    expect(after.flash("error")).toEqual(["\u6f22".repeat(300), "\u6f22".repeat(300)]);
  });
});

describe("what is no flash message", () => {
  it.each<[unknown, unknown]>([
    ["", "text"],
    ["two words", "text"],
    ["x".repeat(65), "text"],
    ["k\u00e4se", "text"],
    [5, "text"],
    [null, "text"],
    [undefined, "text"],
    ["info", ""],
    ["info", "x".repeat(301)],
    ["info", 5],
    ["info", null],
    ["info", ["text"]],
    ["info", { toString: () => "text" }],
  ])("is refused: %j, %j", async (kind, text) => {
    const sessions = manager();
    const { token } = await sessions.create({ userId: USER });
    const session = await opened(sessions, token);
    const flash = async (): Promise<unknown> => untyped(session, "flash", kind, text);
    await expect(flash()).rejects.toMatchObject({ code: "ERR_OPTIONS_INVALID" });
    expect([session.isModified, await session.save()]).toEqual([false, "unchanged"]);
  });

  it("a kind that nothing can have is answered with nothing", async () => {
    const sessions = manager();
    const session = await opened(sessions, await withMessages(sessions, "kept"));
    for (const kind of ["", "two words", "__proto__", 5, null]) {
      expect(await untyped(session, "flash", kind)).toEqual([]);
    }
    expect(session.isModified).toBe(false);
    expect(session.flash("info")).toEqual(["kept"]);
  });
});

describe("for a visitor without a session", () => {
  it("a flash message begins one, and its next page shows it", async () => {
    const sessions = manager();
    const one = await request(sessions);
    one.session.flash("info", "Welcome.");
    const token = await respond(one);
    expect(await found(sessions, token ?? "")).toBe("anonymous");
    const next = await request(sessions, token);
    expect(next.session.flash("info")).toEqual(["Welcome."]);
    expect(next.session.data).toEqual({});
    expect(await respond(next)).toBeNull();
    expect(await shown(sessions, token ?? "", "info")).toEqual([]);
  });

  it("asking for messages begins none, but the response depends on the cookie", async () => {
    const { store, calls } = spied(memoryStore());
    const sessions = manager({ store });
    const one = await request(sessions);
    expect(one.session.flash("info")).toEqual([]);
    expect(one.isUsed).toBe(true);
    expect(await respond(one)).toBeNull();
    expect(calls).toEqual([]);
  });
});

describe("a flash message and what happens to its session in the same request", () => {
  it("outlives a login, both when it was written before and after", async () => {
    for (const options of [{}, { roles: ["a"] }, { pending: "second-factor" }]) {
      const sessions = manager();
      const { token } = await sessions.create({ data: { n: 1 } });
      const one = await request(sessions, token);
      one.session.flash("info", "before");
      await one.session.login(USER, options);
      one.session.flash("info", "after");
      const [cookie = ""] = await one.commit();
      const next = await opened(sessions, /([sp]1_[\w-]+)/.exec(cookie)?.[1] ?? "");
      expect(next.flash("info")).toEqual(["before", "after"]);
    }
  });

  it("is written with the login itself, so that it is there although nothing is saved afterwards", async () => {
    const sessions = manager();
    const session = (await request(sessions)).session;
    session.flash("info", "before");
    await session.login(USER);
    expect(session.isModified).toBe(false);
    expect(await shown(sessions, taken(session), "info")).toEqual(["before"]);
  });

  it("outlives a logout, in a new session of nobody", async () => {
    const sessions = manager();
    const token = await withMessages(sessions, "stored");
    const one = await request(sessions, token);
    one.session.flash("info", "Goodbye.");
    await one.session.logout();
    const next = (await respond(one)) ?? "";
    expect(await found(sessions, token)).toBe("ended: logout");
    expect(await found(sessions, next)).toBe("anonymous");
    expect(await shown(sessions, next, "info")).toEqual(["Goodbye."]);
  });

  it("outlives a reset, a change of roles and a kept login", async () => {
    const ways: readonly ((session: Session) => unknown)[] = [
      (session) => session.reset(),
      (session) => session.setRoles(["a"]),
      (session) => session.keepLogin("v2"),
    ];
    for (const way of ways) {
      const sessions = manager();
      const { token } = await sessions.create({ userId: USER, stamp: "v1" });
      const one = await request(sessions, token);
      one.session.flash("info", "text");
      await way(one.session);
      expect(await shown(sessions, (await respond(one)) ?? "", "info")).toEqual(["text"]);
    }
  });

  it("of the session before is dropped at login, as its data is, taken or not", async () => {
    const sessions = manager();
    const before = await request(sessions);
    before.session.flash("info", "of the visitor");
    before.session.flash("error", "of the visitor");
    const token = (await respond(before)) ?? "";
    const session = await opened(sessions, token);
    expect(session.flash("error")).toEqual(["of the visitor"]);
    session.flash("info", "of the login");
    await session.login(USER);
    const after = taken(session);
    expect(session.flash("info")).toEqual(["of the login"]);
    expect(await shown(sessions, after, "info")).toEqual(["of the login"]);
    expect(await shown(sessions, after, "error")).toEqual([]);
  });

  it("is dropped with a session that somebody else ended", async () => {
    const sessions = manager();
    const { token, id } = await sessions.create({ userId: USER });
    const one = await request(sessions, token);
    one.session.flash("info", "text");
    await sessions.revoke(USER, id);
    expect(await one.commit()).toEqual([]);
    expect(await sessions.count()).toBe(0);
  });
});

describe("two requests of one session at once", () => {
  it("that both write keep both messages, in every order of their store calls", async () => {
    const store = memoryStore();
    for (const order of everyOrder(3, 3)) {
      const label = order.join("");
      const stage = stageOn([store, store], { namespace: `b${label}` });
      const { token } = await stage.elsewhere.create({ data: { n: 1 } });
      const [one, two] = [await opened(stage.processes[0], token), await opened(stage.processes[1], token)];
      one.flash("info", "one");
      two.flash("info", "two");
      expect(await play(stage, order, [() => one.save(), () => two.save()]), label).toEqual(["saved", "saved"]);
      expect(new Set(await shown(stage.elsewhere, token, "info")), label).toEqual(new Set(["one", "two"]));
    }
  });

  it("that both show remove each message once, and a new one stays", async () => {
    const store = memoryStore();
    for (const order of everyOrder(3, 3)) {
      const label = order.join("");
      const stage = stageOn([store, store], { namespace: `t${label}` });
      const { token } = await stage.elsewhere.create({ data: { n: 1 } });
      const writer = await opened(stage.elsewhere, token);
      writer.flash("info", "old");
      writer.flash("error", "kept");
      await writer.save();
      const [one, two] = [await opened(stage.processes[0], token), await opened(stage.processes[1], token)];
      expect([one.flash("info"), two.flash("info")], label).toEqual([["old"], ["old"]]);
      two.flash("info", "new");
      await play(stage, order, [() => one.save(), () => two.save()]);
      expect(await shown(stage.elsewhere, token, "info"), label).toEqual(["new"]);
      expect(await shown(stage.elsewhere, token, "error"), label).toEqual(["kept"]);
    }
  });

  it("never bring a message back that was shown before they saved", async () => {
    const sessions = manager();
    const token = await withMessages(sessions, "old");
    const late = await opened(sessions, token);
    expect(await shown(sessions, token, "info")).toEqual(["old"]);
    late.flash("error", "late");
    late.data["n"] = 2;
    expect(await late.save()).toBe("saved");
    expect(await shown(sessions, token, "info")).toEqual([]);
    expect(await shown(sessions, token, "error")).toEqual(["late"]);
  });
});

describe("when the request fails", () => {
  it("what it wrote is dropped and what it took is shown again", async () => {
    const sessions = manager();
    const token = await withMessages(sessions, "old");
    const one = await request(sessions, token);
    expect(one.session.flash("info")).toEqual(["old"]);
    one.session.flash("info", "new");
    one.discard();
    expect(one.needsCommit()).toBe(false);
    expect(await one.commit()).toEqual([]);
    expect(await shown(sessions, token, "info")).toEqual(["old"]);
  });

  it.each<[string, () => Response]>([
    [
      "throws",
      () => {
        throw new Error("as planned");
      },
    ],
    ["answers 500", () => new Response(null, { status: 500 })],
  ])("so that a handler that %s leaves no message behind", async (_, end) => {
    const sessions = manager();
    const token = await withMessages(sessions, "old");
    const handler = withSession(sessions, (_request, session) => {
      session.flash("info");
      session.flash("info", "new");
      return end();
    });
    const answer = handler(new Request("https://app.example/", { headers: { Cookie: `__Host-sid=${token}` } }));
    await answer.catch(() => undefined);
    expect(await shown(sessions, token, "info")).toEqual(["old"]);
  });

  it("what a failed save could not write is written by the next", async () => {
    const sessions = manager();
    const token = await withMessages(sessions, "old");
    const session = await opened(sessions, token);
    session.flash("info");
    session.flash("info", "new");
    session.data["n"] = Number.NaN;
    await expect(session.save()).rejects.toMatchObject({ code: "ERR_DATA_INVALID" });
    session.data["n"] = 2;
    expect(await session.save()).toBe("saved");
    expect(await shown(sessions, token, "info")).toEqual(["new"]);
  });
});
