/** Pins: sessions tied to the address or the browser of their login, in every combination of the options. */
import {
  type Client,
  createSessionManager,
  generateKey,
  openSession,
  type OpenedSession,
  type PinOptions,
  type SessionManager,
  type SessionManagerOptions,
} from "symbolon";
import { type MemoryStore, memoryStore } from "symbolon/stores/memory";
import { manualClock } from "symbolon/testing";
import { describe, expect, it } from "vitest";
import { listen } from "../support/sessions.ts";
import { intercept, spied } from "../support/stores.ts";
import { everyOrder, play, stageOn } from "../support/turns.ts";

type Options = Partial<SessionManagerOptions<Record<string, unknown>>>;

const USER = "user-1";
const FIREFOX = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0";
const NEWER_FIREFOX = "Mozilla/5.0 (X11; Linux x86_64; rv:152.0) Gecko/20100101 Firefox/152.0.1";
const CHROME = "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/139.0.0.0 Safari/537.36";
const SAFARI =
  "Mozilla/5.0 (iPhone; CPU iPhone OS 17_4_1 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/17.4.1 Mobile/15E148 Safari/604.1";

const HOME: Client = { ip: "203.0.113.9", userAgent: FIREFOX };

function manager(pin: PinOptions | undefined, options: Options = {}): SessionManager {
  const pinned = pin === undefined ? {} : { pin };
  return createSessionManager({
    store: memoryStore(),
    keys: [generateKey()],
    pruneEvery: false,
    ...pinned,
    ...options,
  });
}

/** Who asks, and what of that is not as it was at home. */
interface Visit {
  readonly who: string;
  readonly client: Client;
  /** Whether the address itself, and its network, are those of the login. */
  readonly address: "same" | "same network" | "other";
  readonly browser: "same" | "other";
}

const VISITS: readonly Visit[] = [
  { who: "the same client", client: HOME, address: "same", browser: "same" },
  { who: "a newer version", client: { ...HOME, userAgent: NEWER_FIREFOX }, address: "same", browser: "same" },
  { who: "a neighbour", client: { ...HOME, ip: "203.0.113.10" }, address: "same network", browser: "same" },
  { who: "somebody elsewhere", client: { ...HOME, ip: "198.51.100.9" }, address: "other", browser: "same" },
  { who: "an IPv6 address", client: { ...HOME, ip: "2001:db8::9" }, address: "other", browser: "same" },
  { who: "another browser", client: { ...HOME, userAgent: CHROME }, address: "same", browser: "other" },
  { who: "a stranger", client: { ip: "198.51.100.9", userAgent: CHROME }, address: "other", browser: "other" },
  { who: "no known address", client: { userAgent: FIREFOX }, address: "other", browser: "same" },
  { who: "no address that is one", client: { ...HOME, ip: "203.0.113.9:80" }, address: "other", browser: "same" },
  { who: "no known browser", client: { ip: HOME.ip }, address: "same", browser: "other" },
  { who: "an empty browser", client: { ...HOME, userAgent: "" }, address: "same", browser: "other" },
  { who: "nobody known", client: {}, address: "other", browser: "other" },
  { who: "IPv4 written as IPv6", client: { ...HOME, ip: "::ffff:203.0.113.9" }, address: "same", browser: "same" },
];

const IPS = ["off", "exact", "prefix"] as const;
const ACTIONS = ["event", "step-up", "deny", "revoke"] as const;

interface Combination {
  readonly ip: (typeof IPS)[number];
  readonly userAgent: boolean;
  readonly onMismatch: (typeof ACTIONS)[number];
  readonly adopt: boolean;
}

const COMBINATIONS: readonly Combination[] = IPS.flatMap((ip) =>
  [false, true].flatMap((userAgent) =>
    ACTIONS.flatMap((onMismatch) => [false, true].map((adopt) => ({ ip, userAgent, onMismatch, adopt }))),
  ),
);

/** What the documentation of the options says: the pin that does not fit, null when all do. */
function expectedMismatch({ ip, userAgent }: Combination, { address, browser }: Visit): "ip" | "userAgent" | null {
  if (ip === "exact" && address !== "same") return "ip";
  if (ip === "prefix" && address === "other") return "ip";
  return userAgent && browser === "other" ? "userAgent" : null;
}

describe.each(COMBINATIONS)("ip $ip, userAgent $userAgent, onMismatch $onMismatch, adopt $adopt", (combination) => {
  it.each(VISITS)("$who", async (visit) => {
    const sessions = manager(combination);
    const { token, id } = await sessions.create({ userId: USER, client: HOME, data: { n: 1 } });
    const heard = listen(sessions);
    const mismatch = expectedMismatch(combination, visit);
    const { onMismatch } = combination;
    const seen = await sessions.inspect(token, visit.client);
    const isOpen = mismatch === null || onMismatch === "event" || onMismatch === "step-up";
    if (isOpen) {
      if (!seen.ok) throw new Error(seen.reason);
      expect([seen.session.userId, seen.session.data]).toEqual([USER, { n: 1 }]);
      expect(seen.session.isFresh("1h")).toBe(mismatch === null || onMismatch === "event");
    } else {
      expect(seen).toEqual({ ok: false, reason: "pin-mismatch" });
    }
    const told = { type: "pin-mismatch", at: expect.any(Number), id, userId: USER, pin: mismatch, action: onMismatch };
    expect(heard).toEqual(mismatch === null ? [] : [told]);
    const atHome = await sessions.inspect(token, HOME);
    if (mismatch !== null && onMismatch === "revoke") {
      expect(atHome).toMatchObject({ reason: "ended", ended: { reason: "pin-mismatch" } });
      expect(await sessions.count({ userId: USER })).toBe(0);
    } else {
      if (!atHome.ok) throw new Error(atHome.reason);
      // Whatever others did, at home the session is as it was.
      expect([atHome.session.isFresh("1h"), atHome.session.data]).toEqual([true, { n: 1 }]);
    }
  });
});

describe("a network", () => {
  it.each<[string, string, boolean]>([
    ["203.0.113.0", "203.0.113.255", true],
    ["203.0.113.255", "203.0.114.0", false],
    ["10.0.0.1", "10.0.1.1", false],
    ["2001:db8:1:2::1", "2001:db8:1:2:ffff:ffff:ffff:ffff", true],
    ["2001:db8:1:2::1", "2001:db8:1:3::1", false],
    ["2001:db8:1:2::1", "2001:0DB8:0001:0002:0000:0000:0000:0007", true],
    ["::ffff:203.0.113.1", "203.0.113.200", true],
    ["203.0.113.1", "::ffff:cb00:7103", true],
    ["::ffff:203.0.113.1", "::ffff:203.0.114.1", false],
    // Not mapped, so no IPv4 address.
    ["::203.0.113.1", "203.0.113.1", false],
  ])("of %s, and %s in it: %j", async (first, second, fits) => {
    const sessions = manager({ ip: "prefix", onMismatch: "deny" });
    const { token } = await sessions.create({ userId: USER, client: { ip: first } });
    expect((await sessions.validate(token, { ip: second })) !== null).toBe(fits);
  });
});

describe("the browser", () => {
  it.each<[string, string, boolean]>([
    [FIREFOX, NEWER_FIREFOX, true],
    [FIREFOX, CHROME, false],
    [FIREFOX, FIREFOX.replace("Linux x86_64", "Windows NT 10.0"), false],
    [FIREFOX, FIREFOX.toLowerCase(), false],
    [FIREFOX, ` ${FIREFOX}`, false],
    [SAFARI, SAFARI.replace("17_4_1", "17_5").replace("17.4.1", "17.5"), true],
    ["curl/8.5.0", "curl/8.12.1", true],
    ["curl/8.5.0", "wget/8.5.0", false],
    ["12.3", "45.6", true],
    ["a.1", "a1", false],
  ])("%s and %s: %j", async (first, second, fits) => {
    const sessions = manager({ userAgent: true, onMismatch: "deny" });
    const { token } = await sessions.create({ userId: USER, client: { userAgent: first } });
    expect((await sessions.validate(token, { userAgent: second })) !== null).toBe(fits);
  });

  it("is kept as a digest: no header is in the store, or shown", async () => {
    const store = memoryStore();
    const sessions = manager({ userAgent: true, ip: "exact", onMismatch: "deny" }, { store });
    await sessions.create({ userId: USER, client: HOME });
    const { sessions: listed } = await sessions.list({ userId: USER });
    expect(JSON.stringify(listed)).not.toMatch(/Firefox|203\.0\.113\.9/);
    expect(await dumpOf(store)).not.toMatch(/Firefox|203\.0\.113\.9/);
  });
});

async function dumpOf(store: MemoryStore): Promise<string> {
  const call = { now: 0, signal: new AbortController().signal };
  const { entries } = await store.scan({ cursor: null, limit: 10 }, call);
  const values = entries.flatMap((entry) => Object.values(entry) as unknown[]);
  return values.map((value) => (value instanceof Uint8Array ? Buffer.from(value) : String(value))).join("\n");
}

describe("where the client is not known", () => {
  it("at login, the session fits no client, and not even an unknown one", async () => {
    for (const pin of [{ ip: "exact" }, { ip: "prefix" }, { userAgent: true }] as const) {
      const sessions = manager({ ...pin, onMismatch: "deny" });
      const { token } = await sessions.create({ userId: USER });
      expect(await sessions.validate(token, HOME)).toBeNull();
      expect(await sessions.validate(token)).toBeNull();
    }
  });

  it("later, the session is refused, with any reason for not knowing", async () => {
    const sessions = manager({ ip: "exact", onMismatch: "deny" });
    const { token } = await sessions.create({ userId: USER, client: HOME });
    for (const ip of [null, undefined, "", "unknown", "203.0.113", "203.0.113.9, 203.0.113.9", " 203.0.113.9"]) {
      expect(await sessions.validate(token, { ip }), String(ip)).toBeNull();
    }
    expect(await sessions.validate(token, HOME)).not.toBeNull();
  });

  it("sessions of before the pins were switched on fit nobody, until adopt lets them", async () => {
    const shared = { store: memoryStore(), keys: [generateKey()] };
    const { token } = await manager(undefined, shared).create({ userId: USER });
    expect(await manager({ ip: "prefix", onMismatch: "deny" }, shared).validate(token, HOME)).toBeNull();
    const adopting = manager({ ip: "prefix", onMismatch: "deny", adopt: true }, shared);
    expect((await adopting.validate(token, HOME))?.userId).toBe(USER);
    expect(await adopting.validate(token, { ip: "198.51.100.9" })).toBeNull();
  });
});

describe("adopt", () => {
  it("ties the session to the first client it meets, for good", async () => {
    const shared = { store: memoryStore(), keys: [generateKey()] };
    const pin = { ip: "exact", userAgent: true, onMismatch: "deny", adopt: true } as const;
    const sessions = manager(pin, shared);
    const heard = listen(sessions);
    const { token } = await sessions.create({ userId: USER, data: { n: 1 } });
    expect((await sessions.validate(token, HOME))?.data).toEqual({ n: 1 });
    expect(heard.filter(({ type }) => type === "pin-mismatch")).toEqual([]);
    const stranger = { ip: "198.51.100.9", userAgent: CHROME };
    for (const one of [sessions, manager(pin, shared), manager({ ...pin, adopt: false }, shared)]) {
      expect(await one.inspect(token, stranger)).toMatchObject({ reason: "pin-mismatch" });
      expect(await one.validate(token, HOME)).not.toBeNull();
    }
  });

  it("fills what the login left open, and replaces nothing it knew", async () => {
    const sessions = manager({ ip: "exact", userAgent: true, onMismatch: "deny", adopt: true });
    const { token } = await sessions.create({ userId: USER, client: { ip: HOME.ip } });
    expect(await sessions.validate(token, { ip: "198.51.100.9", userAgent: CHROME })).toBeNull();
    // The stranger's browser was the first that was seen.
    expect(await sessions.validate(token, { ip: HOME.ip, userAgent: CHROME })).not.toBeNull();
    expect(await sessions.validate(token, HOME)).toBeNull();
  });

  it("takes no client that is not known for the first", async () => {
    const { store, calls } = spied(memoryStore());
    const sessions = manager({ ip: "exact", onMismatch: "deny", adopt: true }, { store });
    const { token } = await sessions.create({ userId: USER });
    calls.length = 0;
    for (const client of [{}, { ip: "unknown" }, { userAgent: FIREFOX }]) {
      expect(await sessions.validate(token, client)).toBeNull();
    }
    expect(calls).toEqual(["read", "read", "read"]);
    expect(await sessions.validate(token, HOME)).not.toBeNull();
  });

  it("writes once, and reads only from then on", async () => {
    const { store, calls } = spied(memoryStore());
    const sessions = manager({ ip: "exact", onMismatch: "deny", adopt: true }, { store });
    const { token } = await sessions.create({ userId: USER });
    calls.length = 0;
    for (let round = 0; round < 3; round++) expect(await sessions.validate(token, HOME)).not.toBeNull();
    expect(calls).toEqual(["read", "update", "read", "read"]);
  });

  it("of two first clients at once leaves exactly one, in every order of their store calls", async () => {
    const store = memoryStore();
    const clients = [{ ip: "203.0.113.9" }, { ip: "198.51.100.9" }] as const;
    const winners = new Set<number>();
    for (const order of everyOrder(4, 4)) {
      const label = order.join("");
      const pin = { ip: "exact", onMismatch: "deny", adopt: true } as const;
      const stage = stageOn([store, store], { namespace: `a${label}`, pin });
      const { token } = await stage.elsewhere.create({ userId: USER });
      const [one, two] = stage.processes;
      const answers = await play(stage, order, [
        async () => (await one.inspect(token, clients[0])).ok,
        async () => (await two.inspect(token, clients[1])).ok,
      ]);
      expect(new Set(answers), label).toEqual(new Set([false, true]));
      const winner = answers[0] === true ? 0 : 1;
      winners.add(winner);
      expect(await stage.elsewhere.validate(token, clients[winner]), label).not.toBeNull();
      expect(await stage.elsewhere.validate(token, clients[winner === 0 ? 1 : 0]), label).toBeNull();
    }
    expect(winners).toEqual(new Set([0, 1]));
  });

  it("revives no session that ends while it is written down", async () => {
    const inner = memoryStore();
    const keys = [generateKey()];
    const elsewhere = manager(undefined, { store: inner, keys });
    const { token, id } = await elsewhere.create({ userId: USER });
    const store = intercept(inner, async (call) => {
      if (call.method === "update") await elsewhere.revoke(USER, id);
      return call.proceed();
    });
    const sessions = manager({ ip: "exact", onMismatch: "deny", adopt: true }, { store, keys });
    expect(await sessions.inspect(token, HOME)).toMatchObject({ ok: false, reason: "ended" });
    expect(await elsewhere.count()).toBe(0);
  });
});

describe("what is pinned", () => {
  it("anonymous sessions are not: nothing is lost when a visitor's address changes", async () => {
    const sessions = manager({ ip: "exact", userAgent: true, onMismatch: "revoke", adopt: true });
    const heard = listen(sessions);
    const { token } = await sessions.create({ client: HOME, data: { cart: ["tea"] } });
    for (const client of [HOME, { ip: "198.51.100.9", userAgent: CHROME }, {}]) {
      expect((await sessions.validate(token, client))?.data).toEqual({ cart: ["tea"] });
    }
    expect(heard.filter(({ type }) => type === "pin-mismatch")).toEqual([]);
  });

  it("pending logins and impersonations are", async () => {
    for (const special of [{ pending: "second-factor" }, { actor: "admin-1" }]) {
      const sessions = manager({ ip: "exact", onMismatch: "deny" });
      const { token } = await sessions.create({ userId: USER, client: HOME, ...special });
      expect(await sessions.inspect(token, { ip: "198.51.100.9" })).toMatchObject({ reason: "pin-mismatch" });
      expect(await sessions.validate(token, HOME)).not.toBeNull();
    }
  });

  it("stays so through changes of roles and stamp, refreshes and saves", async () => {
    const sessions = manager({ ip: "exact", userAgent: true, onMismatch: "deny" });
    const made = await sessions.create({ userId: USER, client: HOME, stamp: "v1" });
    const session = await sessions.validate(made.token, HOME);
    await session?.setRoles(["a"]);
    await session?.keepLogin("v2");
    await session?.update((data) => void (data["n"] = 1));
    const refreshed = await sessions.refresh(session?.takeToken() ?? "", HOME);
    const token = refreshed?.token ?? "";
    expect((await sessions.validate(token, HOME))?.data).toEqual({ n: 1 });
    expect(await sessions.validate(token, { ...HOME, ip: "203.0.113.10" })).toBeNull();
    expect(await sessions.validate(token, { ...HOME, userAgent: CHROME })).toBeNull();
  });

  it("a refresh from elsewhere is refused, and revokes where that is asked for", async () => {
    for (const onMismatch of ["deny", "revoke"] as const) {
      const sessions = manager({ ip: "exact", onMismatch });
      const { token } = await sessions.create({ userId: USER, client: HOME });
      expect(await sessions.refresh(token, { ip: "198.51.100.9" })).toBeNull();
      expect((await sessions.validate(token, HOME)) === null).toBe(onMismatch === "revoke");
    }
  });

  it("a session can be ended from anywhere, by token or handle, and no mismatch is told", async () => {
    const sessions = manager({ ip: "exact", onMismatch: "deny" });
    const [first, second] = [
      await sessions.create({ userId: USER, client: HOME }),
      await sessions.create({ userId: USER, client: HOME }),
    ];
    const heard = listen(sessions);
    expect(await sessions.revokeToken(first.token)).toBe(USER);
    expect(await sessions.revoke(USER, second.id)).toBe(USER);
    expect(heard.map(({ type }) => type)).toEqual(["revoked", "revoked"]);
  });

  it("nothing is, where no pin is asked for, whatever is to be done about mismatches", async () => {
    for (const pin of [undefined, {}, { onMismatch: "revoke", adopt: true } as const]) {
      const sessions = manager(pin);
      const { token } = await sessions.create({ userId: USER, client: HOME });
      expect((await sessions.validate(token, { ip: "198.51.100.9", userAgent: CHROME }))?.isFresh("1m")).toBe(true);
    }
  });

  it.each<[PinOptions | Record<string, unknown>]>([
    [{ ip: "subnet" }],
    [{ ip: true }],
    [{ userAgent: "yes" }],
    [{ onMismatch: "log" }],
    [{ adopt: 1 }],
    [{ address: "exact" }],
  ])("the options %j are refused", (pin) => {
    expect(() => manager(pin as PinOptions)).toThrowError(expect.objectContaining({ code: "ERR_OPTIONS_INVALID" }));
  });
});

/** A request from a client, with a session's cookie or none. */
function request(
  sessions: SessionManager,
  { ip = null, userAgent }: Client,
  token: string | null = null,
): Promise<OpenedSession<Record<string, unknown>>> {
  const headers = new Headers(token === null ? {} : { Cookie: `__Host-sid=${token}` });
  if (typeof userAgent === "string") headers.set("User-Agent", userAgent);
  return openSession(sessions, headers, { secure: true, loopback: false, ip });
}

/** Logs a user in from a client; answers the token. */
async function loggedIn(sessions: SessionManager, client: Client): Promise<string> {
  const one = await request(sessions, client);
  await one.session.login(USER);
  return /(s1_[\w-]+)/.exec((await one.commit())[0] ?? "")?.[1] ?? "";
}

describe("through openSession", () => {
  const elsewhere = { ip: "198.51.100.9", userAgent: FIREFOX };

  it("the connection's address and the User-Agent header are what is pinned and compared", async () => {
    const sessions = manager({ ip: "exact", userAgent: true, onMismatch: "deny" });
    const token = await loggedIn(sessions, HOME);
    expect((await request(sessions, HOME, token)).session.userId).toBe(USER);
    for (const client of [elsewhere, { ...HOME, userAgent: CHROME }, { ip: HOME.ip }, { userAgent: FIREFOX }]) {
      const one = await request(sessions, client, token);
      expect([one.session.userId, one.refusal?.reason]).toEqual([null, "pin-mismatch"]);
    }
  });

  it("no header speaks for the address: it comes from the connection alone", async () => {
    const sessions = manager({ ip: "exact", onMismatch: "deny" });
    const token = await loggedIn(sessions, HOME);
    const headers = new Headers({ Cookie: `__Host-sid=${token}` });
    for (const name of ["X-Forwarded-For", "X-Real-IP", "Forwarded", "Client-IP"]) headers.set(name, String(HOME.ip));
    const one = await openSession(sessions, headers, { secure: true, loopback: false, ip: "198.51.100.9" });
    expect(one.session.userId).toBeNull();
    expect((await openSession(sessions, headers)).session.userId).toBeNull();
  });

  it("a request that is denied takes no cookie away, and the session goes on at home", async () => {
    const sessions = manager({ ip: "exact", onMismatch: "deny" });
    const token = await loggedIn(sessions, HOME);
    const one = await request(sessions, elsewhere, token);
    await one.session.logout();
    expect(one.session.state).toBe("anonymous");
    expect((await request(sessions, HOME, token)).session.userId).toBe(USER);
    const other = await request(sessions, elsewhere, token);
    expect(await other.commit()).toEqual([]);
  });

  it("step-up: the session is not fresh until the user logs in from there", async () => {
    const sessions = manager({ ip: "exact", onMismatch: "step-up" });
    const token = await loggedIn(sessions, HOME);
    const one = await request(sessions, elsewhere, token);
    expect([one.session.userId, one.session.isFresh("1h")]).toEqual([USER, false]);
    // Neither new roles, nor new credentials, nor a refresh makes it fresh.
    await one.session.setRoles(["a"]);
    expect(one.session.isFresh("1h")).toBe(false);
    await one.session.keepLogin("v2");
    expect(one.session.isFresh("1h")).toBe(false);
    const kept = /(s1_[\w-]+)/.exec((await one.commit())[0] ?? "")?.[1] ?? "";
    expect((await sessions.refresh(kept, elsewhere))?.isFresh("1h")).toBe(false);
  });

  it("step-up: a login from there makes it fresh there, and no longer at the old place", async () => {
    const sessions = manager({ ip: "exact", onMismatch: "step-up" });
    const token = await loggedIn(sessions, HOME);
    const one = await request(sessions, elsewhere, token);
    await one.session.login(USER);
    expect(one.session.isFresh("1h")).toBe(true);
    const next = /(s1_[\w-]+)/.exec((await one.commit())[0] ?? "")?.[1] ?? "";
    expect((await request(sessions, elsewhere, next)).session.isFresh("1h")).toBe(true);
    expect((await request(sessions, HOME, next)).session.isFresh("1h")).toBe(false);
    expect((await request(sessions, HOME, token)).session.state).toBe("anonymous");
  });

  it("revoke: the session ends for everybody, and says why", async () => {
    const sessions = manager({ ip: "prefix", onMismatch: "revoke" });
    const token = await loggedIn(sessions, HOME);
    const one = await request(sessions, elsewhere, token);
    expect([one.session.userId, one.refusal?.reason]).toEqual([null, "pin-mismatch"]);
    const atHome = await request(sessions, HOME, token);
    expect(atHome.session.userId).toBeNull();
    expect(atHome.refusal).toMatchObject({ reason: "ended", ended: { reason: "pin-mismatch" } });
  });

  it("a bearer token is pinned like a cookie", async () => {
    const sessions = manager({ ip: "exact", onMismatch: "deny" }, { bearer: true });
    const { token } = await sessions.create({ userId: USER, client: HOME });
    const headers = new Headers({ Authorization: `Bearer ${token}` });
    const from = async (ip: string): Promise<string | null> =>
      (await openSession(sessions, headers, { secure: true, loopback: false, ip })).session.userId;
    expect([await from(String(HOME.ip)), await from("198.51.100.9")]).toEqual([USER, null]);
  });

  it("a login pins the session anew, to where it happens", async () => {
    const clock = manualClock();
    const sessions = manager({ ip: "exact", onMismatch: "deny" }, { clock });
    const token = await loggedIn(sessions, HOME);
    const one = await request(sessions, HOME, token);
    await one.session.login(USER, { client: elsewhere });
    const next = /(s1_[\w-]+)/.exec((await one.commit())[0] ?? "")?.[1] ?? "";
    expect((await request(sessions, elsewhere, next)).session.userId).toBe(USER);
    expect((await request(sessions, HOME, next)).session.userId).toBeNull();
  });
});
