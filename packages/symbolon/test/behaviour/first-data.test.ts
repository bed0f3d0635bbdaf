/** The data of a session that has none yet, where another request stores the first and replaces the token at once. */
import { createSessionManager, generateKey, openSession, type OpenedSession, type SessionManager } from "symbolon";
import { manualClock } from "symbolon/testing";
import { memoryStore } from "symbolon/stores/memory";
import { describe, expect, it } from "vitest";
import { opened } from "../support/sessions.ts";

type Data = Record<string, unknown>;

interface Stage {
  readonly sessions: SessionManager;
  readonly first: OpenedSession<Data>;
  readonly other: OpenedSession<Data>;
  readonly token: string;
}

/** Two requests in two processes, both opened with the session's first token, which is due to be replaced. */
async function stage(seal: "split" | "server"): Promise<Stage> {
  const clock = manualClock();
  const rotation = { every: "request", grace: "10s" } as const;
  const options = { store: memoryStore(), keys: [generateKey()], pruneEvery: false, rotation, seal, clock } as const;
  const [sessions, elsewhere] = [createSessionManager(options), createSessionManager(options)];
  const { token } = await sessions.create({ userId: "user-1" });
  clock.advance(60_000);
  const headers = { get: (name: string) => (name === "cookie" ? `__Host-sid=${token}` : undefined) };
  return { sessions, first: await openSession(sessions, headers), other: await openSession(elsewhere, headers), token };
}

describe.each(["split", "server"] as const)("the first data of a session (seal: %s)", (seal) => {
  it("can be changed by a request that came with the token before", async () => {
    const { sessions, first, other, token } = await stage(seal);
    first.session.data["mine"] = 1;
    expect(await first.commit()).toEqual([expect.stringMatching(/^__Host-sid=s1_/)]);
    expect(await other.session.update((data) => void (data["too"] = data["mine"]))).toBe("saved");
    expect((await opened(sessions, token)).data).toEqual({ mine: 1, too: 1 });
  });

  it("is merged with that of a request that came with the token before", async () => {
    const { sessions, first, other, token } = await stage(seal);
    first.session.data["mine"] = 1;
    other.session.data["theirs"] = 2;
    await first.commit();
    await other.commit();
    expect((await opened(sessions, token)).data).toEqual({ mine: 1, theirs: 2 });
  });
});
