/** Ten thousand tokens that were never issued: they rotate nothing, end nothing, and no store is asked. */
import { randomBytes } from "node:crypto";
import { generateKey, type SessionManager } from "symbolon";
import { oneTimeTokens } from "symbolon/auth/one-time-tokens";
import { memoryStore } from "symbolon/stores/memory";
import { type ManualClock, manualClock } from "symbolon/testing";
import { describe, expect, it } from "vitest";
import { found, listen, manager } from "../support/sessions.ts";
import { type FullStore, spied } from "../support/stores.ts";
import { next, request, respond, visit } from "../support/visits.ts";

const USER = "user-1";
const EVERY = 15 * 60_000;
const GRACE = 10_000;

const bytesOf = (token: string): Buffer => Buffer.from(token.slice(3), "base64url");
const spell = (bytes: Buffer, kind = "s1"): string => `${kind}_${bytes.toString("base64url")}`;

/** What is between two places of one token taken from another: id at 5, secret at 21, tag at 53. */
function grafted(onto: Buffer, from: Buffer, start: number, end: number): Buffer {
  return Buffer.concat([onto.subarray(0, start), from.subarray(start, end), onto.subarray(end)]);
}

function bitFlips(token: string): string[] {
  return Array.from({ length: 60 * 8 }, (_, bit) => {
    const bytes = bytesOf(token);
    bytes.writeUInt8(bytes.readUInt8(bit >> 3) ^ (1 << (bit & 7)), bit >> 3);
    return spell(bytes);
  });
}

interface World {
  readonly clock: ManualClock;
  readonly sessions: SessionManager;
  readonly inner: FullStore;
  readonly calls: string[];
  readonly keys: readonly string[];
  /** An old one, the one before, and the present one, which has not arrived yet. */
  readonly tokens: readonly [string, string, string];
}

async function world(): Promise<World> {
  const clock = manualClock();
  const inner = memoryStore();
  const { store, calls } = spied(inner);
  const keys = [generateKey()];
  const sessions = manager({ store, clock, keys, bearer: true });
  const { token: first } = await sessions.create({ userId: USER, data: { n: 1 } });
  clock.advance(EVERY);
  const second = await next(sessions, first);
  await visit(sessions, second);
  clock.advance(EVERY);
  return { clock, sessions, inner, calls, keys, tokens: [first, second, await next(sessions, second)] };
}

async function entriesOf(store: FullStore): Promise<string> {
  const call = { now: 0, signal: new AbortController().signal };
  const { entries } = await store.scan({ cursor: null, limit: 100 }, call);
  return JSON.stringify(entries);
}

const many = (count: number, make: () => string): string[] => Array.from({ length: count }, make);

/** All kinds of tokens that were never issued for the session, by what they are. */
async function forgeries({ tokens, clock, keys }: World): Promise<Record<string, readonly string[]>> {
  const [old, before, present] = tokens.map(bytesOf) as [Buffer, Buffer, Buffer];
  const all = [old, before, present];
  const elsewhere = [
    manager({ clock, keys, namespace: "elsewhere" }),
    manager({ clock, keys: [generateKey()] }),
    manager({ clock, keys: [generateKey()], namespace: "elsewhere" }),
  ];
  const foreign = await Promise.all(
    elsewhere.flatMap((sessions) => Array.from({ length: 100 }, async () => sessions.create({ userId: USER }))),
  );
  const ofAnotherUse = await oneTimeTokens(manager({ clock, keys })).issue("reset", { userId: USER });
  return {
    garbage: [...many(2500, () => spell(randomBytes(60))), ...many(500, () => randomBytes(40).toString("hex"))],
    "the right handle and another secret": many(2000, () => spell(grafted(present, randomBytes(60), 21, 60))),
    "the right handle, another secret, and a tag of the session": all.flatMap((one) =>
      many(500, () => spell(grafted(one, randomBytes(60), 21, 53))),
    ),
    "the right secret and tag under another handle": many(1000, () => spell(grafted(present, randomBytes(60), 5, 21))),
    "another tag": all.flatMap((one) => many(300, () => spell(grafted(one, randomBytes(60), 53, 60)))),
    "a secret of one and the tag of another": all.flatMap((one) =>
      all.filter((other) => other !== one).map((other) => spell(grafted(one, other, 53, 60))),
    ),
    "one bit of a genuine one flipped": tokens.flatMap((token) => bitFlips(token)),
    "a genuine one of another kind": all.flatMap((one) => [spell(one, "p1"), spell(one, "o1"), spell(one, "x1")]),
    "a genuine one of another namespace or key": foreign.map(({ token }) => token),
    "a one-time token": [ofAnotherUse, spell(bytesOf(ofAnotherUse))],
  };
}

/** Everything that takes a token. */
const WAYS: readonly ((sessions: SessionManager, token: string) => Promise<unknown>)[] = [
  async (sessions, token) => {
    const cookie = await request(sessions, token);
    return cookie.session.id ?? (await respond(cookie)).token;
  },
  async (sessions, token) => {
    const bearer = await request(sessions, "", { cookie: "", authorization: `Bearer ${token}` });
    return bearer.session.id ?? (await respond(bearer)).token;
  },
  (sessions, token) => sessions.validate(token),
  (sessions, token) => sessions.refresh(token),
  (sessions, token) => sessions.revokeToken(token),
];

describe("ten thousand tokens that were never issued for a session", () => {
  it("ask no store, change nothing, raise no event, and are nobody's", async () => {
    const stage = await world();
    const { sessions, clock, calls, inner, tokens } = stage;
    const kinds = Object.entries(await forgeries(stage));
    const heard = listen(sessions);
    const stored = await entriesOf(inner);
    calls.length = 0;
    let tried = 0;
    // While the one before is good still, and when it would be a reuse.
    for (const pause of [0, GRACE]) {
      clock.advance(pause);
      for (const [kind, forged] of kinds) {
        for (const token of forged) {
          const answer = await WAYS[tried++ % WAYS.length]?.(sessions, token);
          if (answer !== null) expect.fail(`${kind} opened something`);
        }
        if (calls.length > 0) expect.fail(`${kind} reached the store`);
      }
    }
    expect(tried).toBeGreaterThan(20_000);
    expect(heard).toEqual([]);
    expect(await entriesOf(inner)).toBe(stored);
    expect(await found(sessions, tokens[2])).toBe(`authenticated: ${USER}`);
    expect((await visit(sessions, tokens[1])).token).toBe(tokens[2]);
  });

  it("are told apart from genuine ones by nothing but the tag: a genuine old one ends the session", async () => {
    const { sessions, tokens } = await world();
    expect((await visit(sessions, tokens[0])).found).toBe("reuse-detected");
  });
});
