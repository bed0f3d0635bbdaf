/** "Your devices": what is noted of a client at login, and how a user sees and ends sessions. */
import {
  createSessionManager,
  generateKey,
  type NameDevice,
  openSession,
  type Session,
  type SessionManager,
  type SessionManagerOptions,
} from "symbolon";
import { nameDevice } from "symbolon/auth/device-name";
import { memoryStore } from "symbolon/stores/memory";
import { sqliteStore } from "symbolon/stores/sqlite";
import { manualClock } from "symbolon/testing";
import { describe, expect, it } from "vitest";
import { found, opened, taken } from "../support/sessions.ts";
import { sqliteFile } from "../support/sqlite.ts";
import { intercept } from "../support/stores.ts";

type Options = Partial<SessionManagerOptions<Record<string, unknown>>>;

const USER = "user-1";
const FIREFOX = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0";

function manager(options: Options = {}): SessionManager {
  return createSessionManager({ store: memoryStore(), keys: [generateKey()], pruneEvery: false, ...options });
}

interface Visitor {
  readonly ip?: string | null;
  readonly userAgent?: string;
}

/** The session of a request without a cookie. */
async function arriving(sessions: SessionManager, { ip, userAgent }: Visitor): Promise<Session> {
  const headers = new Headers(userAgent === undefined ? {} : { "User-Agent": userAgent });
  const connection = { secure: true, loopback: false, ...(ip !== undefined && { ip }) };
  return (await openSession(sessions, headers, connection)).session;
}

describe("at login", () => {
  it("the device's name and network are noted, and no address, version or header", async () => {
    const sessions = manager({ nameDevice });
    const session = await arriving(sessions, { ip: "203.0.113.77", userAgent: FIREFOX });
    await session.login(USER);
    const noted = { name: "Firefox on Linux", network: "203.0.113.0/24" };
    expect(session.device).toEqual(noted);
    const { sessions: listed } = await sessions.list({ userId: USER });
    expect(listed.map(({ device }) => device)).toEqual([noted]);
    expect(JSON.stringify(listed)).not.toMatch(/113\.77|140\.0|Mozilla/);
  });

  it.each<[string, string | null]>([
    ["203.0.113.77", "203.0.113.0/24"],
    ["::ffff:203.0.113.77", "203.0.113.0/24"],
    ["::ffff:cb00:714d", "203.0.113.0/24"],
    ["2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"],
    ["2001:DB8:1:2:0:0:0:6", "2001:db8:1:2::/64"],
    ["fe80::1%eth0", "fe80::/64"],
    ["::1", "::/64"],
    ["203.0.113.77:8080", null],
    ["[2001:db8::1]", null],
    ["unknown", null],
    ["", null],
  ])("the address %j is noted as %j", async (ip, network) => {
    const session = await arriving(manager({ nameDevice }), { ip });
    await session.login(USER);
    expect(session.device).toEqual(network === null ? null : { network });
  });

  it("nothing is noted where nothing is known", async () => {
    const strangers: readonly Visitor[] = [{}, { ip: null }, { userAgent: "" }];
    for (const stranger of strangers) {
      const session = await arriving(manager({ nameDevice }), stranger);
      await session.login(USER);
      expect(session.device).toBeNull();
    }
  });

  it("no name is noted unless the manager was given a namer", async () => {
    const session = await arriving(manager(), { ip: "203.0.113.77", userAgent: FIREFOX });
    await session.login(USER);
    expect(session.device).toEqual({ network: "203.0.113.0/24" });
    const unknown = await arriving(manager(), { userAgent: FIREFOX });
    await unknown.login(USER);
    expect(unknown.device).toBeNull();
  });

  it.each<[string, () => unknown, string | undefined]>([
    [
      "throws",
      () => {
        throw new Error("as planned");
      },
      undefined,
    ],
    ["answers null", () => null, undefined],
    ["answers an empty text", () => "", undefined],
    ["answers a number", () => 5, undefined],
    ["answers an object", () => ({ name: "x" }), undefined],
    ["answers a promise", () => Promise.resolve("x"), undefined],
    ["answers much too much", () => "x".repeat(5000), "x".repeat(80)],
    ["answers nothing", () => undefined, undefined],
  ])("a namer that %s costs no login", async (_, namer, name) => {
    const sessions = manager({ nameDevice: namer as NameDevice });
    const session = await arriving(sessions, { ip: "203.0.113.77", userAgent: FIREFOX });
    await session.login(USER);
    expect(session.device).toEqual({ network: "203.0.113.0/24", ...(name !== undefined && { name }) });
    expect(await found(sessions, taken(session))).toBe("authenticated: user-1");
  });

  it("a namer is shown 512 characters of a header at most, and only at login", async () => {
    const asked: string[] = [];
    const namer: NameDevice = (userAgent) => {
      asked.push(userAgent);
      return "Browser";
    };
    const sessions = manager({ nameDevice: namer });
    const session = await arriving(sessions, { userAgent: "a".repeat(9000) });
    session.data["n"] = 1;
    await session.save();
    expect(asked).toEqual([]);
    await session.login(USER);
    expect(asked).toEqual(["a".repeat(512)]);
    await opened(sessions, taken(session));
    expect(asked).toHaveLength(1);
  });

  it("what the application says of the device, or of the client, goes before what the request says", async () => {
    const sessions = manager({ nameDevice });
    const visitor = { ip: "203.0.113.77", userAgent: FIREFOX };
    const session = await arriving(sessions, visitor);
    await session.login(USER, { device: { name: "Ann's phone", ip: "203.0.113.77" } });
    expect(session.device).toEqual({ name: "Ann's phone", ip: "203.0.113.77" });
    await session.login(USER, { client: { ip: "198.51.100.7" } });
    expect(session.device).toEqual({ network: "198.51.100.0/24" });
  });

  it("without HTTP the client is noted when it is named", async () => {
    const sessions = manager({ nameDevice });
    const client = { ip: "2001:db8::1", userAgent: FIREFOX };
    const noted = { name: "Firefox on Linux", network: "2001:db8::/64" };
    const { token, device } = await sessions.create({ userId: USER, client });
    expect(device).toEqual(noted);
    // A login in a session that was opened for a client is that client's.
    const session = await sessions.validate(token, { ip: "198.51.100.7" });
    await session?.login(USER);
    expect(session?.device).toEqual({ network: "198.51.100.0/24" });
    expect((await sessions.create({ userId: USER })).device).toBeNull();
  });

  it("is not noted of visitors who are nobody", async () => {
    const sessions = manager({ nameDevice });
    const session = await arriving(sessions, { ip: "203.0.113.77", userAgent: FIREFOX });
    session.data["n"] = 1;
    await session.save();
    expect(session.device).toBeNull();
  });
});

const stores: readonly (readonly [string, () => Options])[] = [
  ["memory", () => ({ store: memoryStore() })],
  ["sqlite", () => ({ store: sqliteStore(sqliteFile().connect()) })],
];

describe.each(stores)("a user's own sessions on %s", (_, open) => {
  interface Devices {
    readonly sessions: SessionManager;
    readonly phone: { readonly id: string; readonly token: string };
    readonly laptop: { readonly id: string; readonly token: string };
    readonly tablet: { readonly id: string; readonly token: string };
    readonly stranger: { readonly id: string; readonly token: string };
  }

  async function devices(): Promise<Devices> {
    const clock = manualClock();
    const sessions = manager({ ...open(), clock });
    const make = async (userId: string, name: string): Promise<{ id: string; token: string }> => {
      const made = await sessions.create({ userId, device: { name } });
      clock.advance(1000);
      return made;
    };
    return {
      sessions,
      phone: await make(USER, "Phone"),
      laptop: await make(USER, "Laptop"),
      tablet: await make(USER, "Tablet"),
      stranger: await make("user-2", "Stranger"),
    };
  }

  it("are listed newest first, the one that asks marked, and nobody else's", async () => {
    const { sessions, laptop } = await devices();
    const me = await opened(sessions, laptop.token);
    const page = await sessions.list({ userId: USER, current: me.id });
    expect(page.sessions.map(({ device, current }) => [device?.name, current])).toEqual([
      ["Tablet", false],
      ["Laptop", true],
      ["Phone", false],
    ]);
    expect(page.cursor).toBeNull();
  });

  it("can be looked at one by one", async () => {
    const { sessions, phone } = await devices();
    expect(await sessions.get(USER, phone.id)).toMatchObject({ id: phone.id, device: { name: "Phone" } });
  });

  it("end one by one", async () => {
    const { sessions, phone, laptop, tablet } = await devices();
    expect(await sessions.revoke(USER, phone.id, "ended by the user")).toBe(USER);
    expect(await found(sessions, phone.token)).toBe("ended: ended by the user");
    expect(await sessions.revoke(USER, phone.id)).toBeNull();
    for (const { token } of [laptop, tablet]) expect(await found(sessions, token)).toBe("authenticated: user-1");
    expect((await sessions.list({ userId: USER })).sessions).toHaveLength(2);
  });

  it("end all but the one that asks", async () => {
    const { sessions, phone, laptop, tablet, stranger } = await devices();
    const me = await opened(sessions, laptop.token);
    expect(await sessions.revokeAll(USER, { except: me.id ?? "" })).toBe(2);
    for (const { token } of [phone, tablet]) expect(await found(sessions, token)).toBe("ended: revoked");
    expect(await found(sessions, laptop.token)).toBe("authenticated: user-1");
    expect(await found(sessions, stranger.token)).toBe("authenticated: user-2");
  });

  it("end all at once, pending logins too", async () => {
    const { sessions, phone, laptop, tablet, stranger } = await devices();
    const pending = await sessions.create({ userId: USER, pending: "second-factor" });
    expect(await sessions.revokeAll(USER, { reason: "everywhere" })).toBe(4);
    for (const { token } of [phone, laptop, tablet, pending]) {
      expect(await found(sessions, token)).toBe("ended: everywhere");
    }
    expect(await found(sessions, stranger.token)).toBe("authenticated: user-2");
    expect(await sessions.revokeAll(USER)).toBe(0);
  });

  it("are not ended by an exception that is not the user's, or no handle at all", async () => {
    const { sessions, phone, stranger } = await devices();
    const except = [phone.id, stranger.id, "no handle", ""];
    expect(await sessions.revokeAll(USER, { except })).toBe(2);
    expect(await found(sessions, phone.token)).toBe("authenticated: user-1");
    expect(await found(sessions, stranger.token)).toBe("authenticated: user-2");
  });
});

describe("a handle", () => {
  it("is no token, with any prefix", async () => {
    const sessions = manager();
    const { id } = await sessions.create({ userId: USER });
    for (const text of [id, `s1_${id}`, `s1_${id}`.padEnd(83, "A")]) {
      expect(await sessions.validate(text)).toBeNull();
      expect(await sessions.revokeToken(text)).toBeNull();
    }
    const headers = new Headers({ Cookie: `__Host-sid=${id}` });
    expect((await openSession(sessions, headers)).session.state).toBe("anonymous");
  });
});

describe("another user's handle", () => {
  // The same for both trials, so that the same user's records are in the same place.
  const key = generateKey();

  interface Trial {
    readonly answers: readonly unknown[];
    /** Each store call, with what it was asked save the place that differs from handle to handle. */
    readonly calls: readonly string[];
    readonly heard: readonly string[];
  }

  /** What a user gets to see of a handle that is not theirs, and what the store does. */
  async function tryOut(pick: (sessions: SessionManager, own: string) => Promise<string>): Promise<Trial> {
    const calls: string[] = [];
    const store = intercept(memoryStore(), (call) => {
      const [first] = call.args as readonly [{ readonly space?: string; readonly route?: number }];
      calls.push(`${call.method} ${first.space} ${first.route}`);
      return call.proceed();
    });
    const sessions = createSessionManager({ store, keys: [key], pruneEvery: false });
    const own = await sessions.create({ userId: USER });
    const id = await pick(sessions, own.id);
    const heard: string[] = [];
    sessions.on("*", ({ type }) => heard.push(type));
    calls.length = 0;
    const answers = [
      await sessions.get(USER, id),
      await sessions.update(USER, id, { roles: ["admin"] }),
      await sessions.revoke(USER, id),
    ];
    return { answers, calls, heard };
  }

  it.each<[string, (sessions: SessionManager) => Promise<string>]>([
    ["of a live session", async (sessions) => (await sessions.create({ userId: "user-2", data: { n: 1 } })).id],
    ["of an anonymous session", async (sessions) => (await sessions.create({ data: { n: 1 } })).id],
    ["of a pending login", async (sessions) => (await sessions.create({ userId: "user-2", pending: "code" })).id],
    ["of the user's own pending login", async (sessions) => (await sessions.create({ userId: USER, pending: "x" })).id],
    [
      "of an ended session",
      async (sessions) => {
        const { id } = await sessions.create({ userId: "user-2" });
        await sessions.revoke("user-2", id);
        return id;
      },
    ],
  ])("%s is answered as an unknown one, with the same store calls and no event", async (_, make) => {
    const known = await tryOut(make);
    const other = await tryOut(async (_sessions, own) => {
      // Of the same key as a handle that was given out, with an id that nobody has.
      const bytes = Buffer.from(own, "base64url");
      bytes[9] = (bytes[9] ?? 0) ^ 1;
      return bytes.toString("base64url");
    });
    expect(known).toEqual(other);
    expect(known.answers).toEqual([null, "gone", null]);
    expect(known.calls).toHaveLength(3);
    expect(known.heard).toEqual([]);
  });

  it("changes and ends nothing of that user's", async () => {
    const sessions = manager();
    const theirs = await sessions.create({ userId: "user-2", roles: ["a"], extra: { e: 1 }, data: { n: 1 } });
    await sessions.update(USER, theirs.id, { roles: ["admin"], extra: {} });
    await sessions.revoke(USER, theirs.id);
    await sessions.revokeAll(USER, { except: theirs.id });
    const after = await opened(sessions, theirs.token);
    expect([after.userId, after.roles, after.extra, after.data]).toEqual(["user-2", ["a"], { e: 1 }, { n: 1 }]);
  });
});
