/** Two requests of one session whose token is due, in two processes, in every order of their store calls. */
import { generateKey, type Session, type SessionManager } from "symbolon";
import { memoryStore } from "symbolon/stores/memory";
import { describe, expect, it } from "vitest";
import type { StorePair } from "../support/sessions.ts";
import { everyOrder, play, type Stage, stageOn } from "../support/turns.ts";
import { request, respond, visit } from "../support/visits.ts";

const USER = "user-1";
const GRACE = 10_000;
const EVERY = 15 * 60_000;
const KEYS = [generateKey()];

/** What a request does; answers the token of its response, or why it has no session. */
type Rival = (sessions: SessionManager, token: string) => Promise<string | null>;

const using =
  (use: (session: Session) => unknown): Rival =>
  async (sessions, token) => {
    const opened = await request(sessions, token);
    if (opened.refusal !== null) return opened.refusal.ended?.reason ?? opened.refusal.reason;
    await use(opened.session);
    return (await respond(opened)).token;
  };

const rivals: Readonly<Record<string, Rival>> = {
  "reads only": using(({ data }) => data["n"]),
  writes: using(({ data }) => void (data["mine"] = true)),
  updates: using((session) => session.update((data) => void (data["n"] = Number(data["n"]) + 1))),
  "writes and asks for a rotation": using(async (session) => {
    session.data["mine"] = true;
    await session.rotate();
  }),
  "shows its token without a cookie": async (sessions, token) => {
    const session = await sessions.validate(token);
    return session === null ? "refused" : session.takeToken();
  },
};

/** A session whose token is due; both processes have not seen it yet. */
async function due(stores: StorePair, namespace: string, isGoodOnce = false) {
  const rotation = { every: "15m", grace: isGoodOnce ? 0 : GRACE } as const;
  const stage = stageOn(stores, { namespace, rotation, keys: KEYS });
  const { token } = await stage.elsewhere.create({ userId: USER, data: { n: 0 } });
  stage.clock.advance(EVERY);
  return { stage, token };
}

async function answersOf(stage: Stage, order: readonly (0 | 1)[], works: readonly [Rival, Rival], tokens: string[]) {
  const [one, two] = stage.processes;
  const answers = await play(stage, order, [
    async () => works[0](one, tokens[0] ?? ""),
    async () => works[1](two, tokens[1] ?? ""),
  ]);
  for (const answer of answers) if (answer instanceof Error) throw answer;
  return answers as readonly (string | null)[];
}

const pairsOf = <T>(all: readonly T[]): (readonly [T, T])[] =>
  all.flatMap((first, at) => all.slice(at).map((second) => [first, second] as const));

describe("two requests with one token that is due", () => {
  it.each(pairsOf(Object.keys(rivals)))(
    "leave their browser logged in, whichever answer comes last: %s, %s",
    async (first, second) => {
      const store = memoryStore();
      const works = [rivals[first], rivals[second]] as [Rival, Rival];
      const orders = everyOrder(4, 4);
      for (const order of orders) {
        const label = order.join("");
        const { stage, token } = await due([store, store], label);
        const { elsewhere, clock } = stage;
        const answers = await answersOf(stage, order, works, [token, token]);
        const given = new Set(answers.filter((answer) => answer !== null));
        expect(given.size, label).toBeLessThanOrEqual(1);
        const [next = token] = given;
        // The answers come, in some order; then the browser is idle for longer than the grace.
        expect((await visit(elsewhere, next)).found, label).toBe(USER);
        expect((await visit(elsewhere, token)).found, label).toBe(USER);
        clock.advance(GRACE);
        expect((await visit(elsewhere, next)).found, label).toBe(USER);
      }
      expect(orders).toHaveLength(70);
    },
  );

  it.each(Object.keys(rivals).slice(0, 4))("let one go on where a token is good once: %s", async (name) => {
    const store = memoryStore();
    const rival = rivals[name] as Rival;
    for (const order of everyOrder(4, 4)) {
      const label = order.join("");
      const { stage, token } = await due([store, store], `once-${label}`, true);
      const answers = await answersOf(stage, order, [rival, rival], [token, token]);
      const refused = answers.filter((answer) => answer === "wrong-secret" || answer === "reuse-detected");
      expect(refused.length, label).toBe(1);
      expect(refused, label).toEqual(["wrong-secret"]);
      const winner = answers.find((answer) => answer !== "wrong-secret") ?? "";
      expect((await visit(stage.elsewhere, winner)).found, label).toBe(USER);
    }
  });

  it("end with a logout, whichever comes first, and no token is sent by who comes later", async () => {
    const store = memoryStore();
    const leave = using((session) => session.logout());
    for (const [name, rival] of Object.entries(rivals)) {
      for (const order of everyOrder(4, 4)) {
        const label = `${name} ${order.join("")}`;
        const { stage, token } = await due(
          [store, store],
          `logout-${Object.keys(rivals).indexOf(name)}-${order.join("")}`,
        );
        const [given] = await answersOf(stage, order, [rival, leave], [token, token]);
        expect(await stage.elsewhere.count({ userId: USER }), label).toBe(0);
        for (const held of [token, given ?? token]) {
          if (held.startsWith("s1_")) expect((await visit(stage.elsewhere, held)).found, label).toBe("ended: logout");
        }
      }
    }
  });
});

describe("a token that comes again while its session is used", () => {
  it.each(Object.keys(rivals))("ends the session for both, in every order: the other %s", async (name) => {
    const store = memoryStore();
    const rival = rivals[name] as Rival;
    for (const order of everyOrder(4, 4)) {
      const label = order.join("");
      const { stage, token } = await due([store, store], label);
      const { token: second } = await visit(stage.elsewhere, token);
      await visit(stage.elsewhere, second ?? "");
      stage.clock.advance(EVERY);
      let reuses = 0;
      for (const sessions of stage.processes) sessions.on("reuse-detected", () => reuses++);
      const [given, replayed] = await answersOf(
        stage,
        order,
        [rival, rivals["reads only"] as Rival],
        [second ?? "", token],
      );
      expect([replayed, reuses], label).toEqual(["reuse-detected", 1]);
      for (const held of [token, second, given]) {
        if (held?.startsWith("s1_") !== true) continue;
        expect((await visit(stage.elsewhere, held)).found, label).toBe("ended: reuse-detected");
      }
    }
  });
});
