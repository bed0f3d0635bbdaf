/** `rotation.grace: 0`: a token is good until one request has replaced it, and for that one only. */
import { generateKey, type Session, type SessionManager } from "symbolon";
import { memoryStore } from "symbolon/stores/memory";
import { type ManualClock, manualClock } from "symbolon/testing";
import { describe, expect, it } from "vitest";
import { wait } from "../support/delays.ts";
import { manager, opened, type Options } from "../support/sessions.ts";
import { type Intercepted, intercept } from "../support/stores.ts";
import { next, request, respond, visit } from "../support/visits.ts";

const USER = "user-1";
const MINUTE = 60_000;
const EVERY = 15 * MINUTE;
const REFUSED = { found: "wrong-secret", token: null, maxAge: null };

interface World {
  readonly clock: ManualClock;
  /** Two processes on one store. */
  readonly processes: readonly [SessionManager, SessionManager];
  readonly sessions: SessionManager;
  /** Due to be replaced. */
  readonly token: string;
  readonly heard: { readonly type: string }[];
  /** Stands between the processes and the store. */
  around: (call: Intercepted) => unknown;
}

async function world(options: Options = {}, about: object = {}): Promise<World> {
  const clock = manualClock();
  const inner = memoryStore();
  const stage = { around: (call: Intercepted): unknown => call.proceed() };
  const shared = { clock, keys: [generateKey()], rotation: { grace: 0 }, ...options } as const;
  const store = intercept(inner, (call) => stage.around(call));
  const [sessions, elsewhere] = [manager({ ...shared, store }), manager({ ...shared, store })];
  const { token } = await sessions.create({ userId: USER, data: { n: 1 }, ...about });
  clock.advance(EVERY);
  const heard: World["heard"] = [];
  for (const process of [sessions, elsewhere]) process.on("*", (event) => heard.push(event));
  return Object.assign(stage, { clock, processes: [sessions, elsewhere] as const, sessions, token, heard });
}

const rotate = async (session: Session): Promise<string> => session.rotate();

const typesOf = ({ heard }: World): string[] => heard.map(({ type }) => type);

describe("a token without grace", () => {
  it("is good for any number of requests until it is due", async () => {
    const { clock, sessions, token } = await world();
    const second = await next(sessions, token);
    clock.advance(EVERY - 1);
    const answers = await Promise.all(Array.from({ length: 20 }, () => visit(sessions, second)));
    for (const answer of answers) expect(answer).toEqual({ found: USER, token: null, maxAge: null });
  });

  it("is replaced before the handler runs, and the response carries the next one", async () => {
    const { sessions, token } = await world();
    const one = await request(sessions, token);
    expect(await visit(sessions, token)).toEqual(REFUSED);
    expect([one.session.userId, one.session.data]).toEqual([USER, { n: 1 }]);
    one.session.data["n"] = 2;
    const { token: second } = await respond(one);
    await visit(sessions, second ?? "", ({ data }) => expect(data).toEqual({ n: 2 }));
  });

  it("is good for one of fifty parallel requests in two processes; the others are nobody, and begin nothing", async () => {
    const stage = await world();
    const { processes, token } = stage;
    const calls: string[] = [];
    // All have found the token good before the first of them replaces it.
    stage.around = async (call) => {
      calls.push(call.method);
      await wait(2);
      return call.proceed();
    };
    const answers = await Promise.all(
      Array.from({ length: 50 }, async (_, at) =>
        visit(processes[at % 2 === 0 ? 0 : 1], token, ({ data }) => void (data[`by${at}`] = true)),
      ),
    );
    expect(calls.slice(0, 51)).toEqual([...Array.from({ length: 50 }, () => "read"), "update"]);
    const winners = answers.filter(({ found }) => found === USER);
    expect(winners).toHaveLength(1);
    for (const loser of answers.filter(({ found }) => found !== USER)) expect(loser).toEqual(REFUSED);
    expect(typesOf(stage).filter((type) => type !== "merged")).toEqual(["rotated"]);
    await visit(processes[1], winners[0]?.token ?? "", ({ data }) => expect(Object.keys(data)).toHaveLength(2));
  });

  it("has the next one in the answer although the handler failed", async () => {
    const { sessions, token } = await world();
    const failed = await request(sessions, token);
    failed.session.data["n"] = 2;
    failed.discard();
    const { token: second } = await respond(failed);
    await visit(sessions, second ?? "", ({ data }) => expect(data).toEqual({ n: 1 }));
  });

  it("has the next one in the answer although nothing could be saved", async () => {
    const { sessions, token } = await world();
    const failed = await request(sessions, token);
    failed.session.data["n"] = 1n;
    await expect(failed.commit()).rejects.toMatchObject({ code: "ERR_DATA_INVALID" });
    failed.discard();
    const [cookie = ""] = failed.cookies();
    await visit(sessions, cookie.slice(11, 94), ({ data }) => expect(data).toEqual({ n: 1 }));
  });

  it("has the next one in the answer to a request that another site may have sent", async () => {
    const { sessions, token } = await world();
    const forged = await request(sessions, token, { "sec-fetch-site": "cross-site" });
    expect(forged.csrfRefusal({ method: "POST" })).toBe("cross-site");
    const { token: second } = await respond(forged);
    expect((await visit(sessions, second ?? "")).found).toBe(USER);
  });

  it("logs its client out when the answer is lost: refused for hours, and nobody else is affected", async () => {
    const stage = await world();
    const { clock, sessions, token } = stage;
    const other = await sessions.create({ userId: USER });
    await next(sessions, token);
    stage.heard.length = 0;
    for (const pause of [0, 1, MINUTE, 50 * MINUTE]) {
      clock.advance(pause);
      expect((await visit(sessions, token)).found).toBe("wrong-secret");
    }
    expect(typesOf(stage)).toEqual([]);
    expect(await sessions.count({ userId: USER })).toBe(2);
    expect((await visit(sessions, other.token)).found).toBe(USER);
  });

  it("is a reuse as soon as the next one was presented", async () => {
    const stage = await world();
    const { sessions, token } = stage;
    const second = await next(sessions, token);
    expect((await visit(sessions, token)).found).toBe("wrong-secret");
    await visit(sessions, second);
    expect((await visit(sessions, token)).found).toBe("reuse-detected");
    expect((await visit(sessions, second)).found).toBe("ended: reuse-detected");
    expect(typesOf(stage)).toEqual(["rotated", "reuse-detected"]);
  });

  it("stays as it is where the store could not replace it", async () => {
    const stage = await world();
    stage.around = (call) => {
      if (call.method === "update") throw new Error("down");
      return call.proceed();
    };
    await expect(request(stage.sessions, stage.token)).rejects.toMatchObject({ code: "ERR_STORE_UNAVAILABLE" });
    stage.around = (call) => call.proceed();
    expect((await visit(stage.sessions, stage.token)).found).toBe(USER);
  });

  it("is replaced where only the answer of the store was lost, and the response carries the next one", async () => {
    const stage = await world();
    stage.around = async (call) => {
      const answer = await call.proceed();
      if (call.method === "update") throw new Error("The connection is gone.");
      return answer;
    };
    const second = await next(stage.sessions, stage.token);
    stage.around = (call) => call.proceed();
    expect((await visit(stage.sessions, second)).found).toBe(USER);
  });

  it("opens nothing when the session ended while it was replaced", async () => {
    const stage = await world();
    const { sessions, token, processes } = stage;
    stage.around = async (call) => {
      if (call.method === "update") await processes[1].revokeToken(token);
      return call.proceed();
    };
    const late = await request(sessions, token);
    expect([late.session.id, late.refusal === null]).toEqual([null, false]);
    expect(await respond(late)).toEqual({ token: null, maxAge: null });
  });

  it("keeps what another request wrote while it was replaced", async () => {
    const stage = await world();
    const { sessions, token, processes } = stage;
    const other = await opened(processes[1], token);
    other.data["theirs"] = true;
    let isFirst = true;
    stage.around = async (call) => {
      if (isFirst && call.method === "update") {
        isFirst = false;
        expect(await other.save()).toBe("saved");
      }
      return call.proceed();
    };
    const { token: second } = await visit(sessions, token);
    await visit(sessions, second ?? "", ({ data }) => expect(data).toEqual({ n: 1, theirs: true }));
  });

  it("is not used up by who shows it without a cookie", async () => {
    const { sessions, token } = await world({ bearer: true });
    for (let times = 0; times < 3; times++) {
      expect((await opened(sessions, token)).userId).toBe(USER);
      const bearer = await request(sessions, "", { cookie: "", authorization: `Bearer ${token}` });
      expect([bearer.session.userId, await bearer.commit()]).toEqual([USER, []]);
    }
    expect((await visit(sessions, token)).found).toBe(USER);
  });
});

describe("a new token with each request", () => {
  const options = { rotation: { every: "request", grace: 0 } } as const;

  it("is what every request gets, read-only or not, at once", async () => {
    const { sessions, token } = await world(options);
    const seen = [token];
    for (let n = 2; n < 10; n++) {
      const { token: given } = await visit(sessions, seen.at(-1) ?? "", ({ data }) => void (n % 2 && (data["n"] = n)));
      seen.push(given ?? "");
    }
    expect(new Set(seen).size).toBe(seen.length);
    await visit(sessions, seen.at(-1) ?? "", ({ data }) => expect(data).toEqual({ n: 9 }));
  });

  it("ends the session for one that comes again, and only refuses the one just replaced", async () => {
    const { sessions, token } = await world(options);
    const second = await next(sessions, token);
    const third = await next(sessions, second);
    expect((await visit(sessions, second)).found).toBe("wrong-secret");
    expect((await visit(sessions, token)).found).toBe("reuse-detected");
    expect((await visit(sessions, third)).found).toBe("ended: reuse-detected");
  });
});

describe("session.rotate() without grace", () => {
  it("replaces the token of every request that asks for it", async () => {
    const { sessions, token } = await world({ rotation: { every: false, grace: 0 } });
    const seen = [token];
    for (let times = 0; times < 5; times++) {
      const { token: given } = await visit(sessions, seen.at(-1) ?? "", async (session) => {
        expect(await rotate(session)).toBe("saved");
      });
      seen.push(given ?? "");
    }
    expect(new Set(seen).size).toBe(6);
    expect((await visit(sessions, seen.at(-1) ?? "")).found).toBe(USER);
  });

  it.each<[string, (session: Session) => Promise<unknown>, boolean]>([
    ["it was due anyway", async () => undefined, true],
    ["roles were given", async (session) => session.setRoles(["editor"]), false],
    ["it was asked for already", rotate, false],
  ])("is not done twice in a request, where %s: a parallel one would look like a thief", async (_, before, isDue) => {
    const stage = await world({ rotation: { every: isDue ? "15m" : false, grace: 0 } });
    const { sessions, token } = stage;
    const { token: second } = await visit(sessions, token, async (session) => {
      await before(session);
      expect(await rotate(session)).toBe("unchanged");
    });
    expect((await visit(sessions, token)).found).toBe("wrong-secret");
    expect((await visit(sessions, second ?? "")).found).toBe(USER);
    expect(typesOf(stage)).not.toContain("reuse-detected");
  });

  it("is done for one of two that ask at once; the other saves what it changed and sends no cookie", async () => {
    const { sessions, token } = await world({ rotation: { every: false, grace: 0 } });
    const [one, other] = [await request(sessions, token), await request(sessions, token)];
    other.session.data["other"] = true;
    expect([await rotate(one.session), await rotate(other.session)]).toEqual(["saved", "unchanged"]);
    expect(await respond(other)).toEqual({ token: null, maxAge: null });
    const { token: second } = await respond(one);
    await visit(sessions, second ?? "", ({ data }) => expect(data).toEqual({ n: 1, other: true }));
  });
});
