/** Found by a random history: of two requests that rotate in one process, one learns of the new token from the other. */
import { generateKey } from "symbolon";
import { memoryStore } from "symbolon/stores/memory";
import { manualClock } from "symbolon/testing";
import { expect, it } from "vitest";
import { manager } from "../support/sessions.ts";
import { intercept } from "../support/stores.ts";
import { request, respond } from "../support/visits.ts";

it("is not told the new token of a session that was revoked since that was made", async () => {
  const clock = manualClock();
  const storage = memoryStore();
  const meanwhile: (() => Promise<unknown>)[] = [];
  const store = intercept(storage, async (call) => {
    const answer = await call.proceed();
    // The rotation has landed; before its answer arrives, another process ends the session.
    if (call.method === "update") await meanwhile.pop()?.();
    return answer;
  });
  const options = { clock, keys: [generateKey()], rotation: { every: "request" } } as const;
  const [sessions, elsewhere] = [manager({ ...options, store }), manager({ ...options, store: storage })];
  const { token } = await sessions.create({ userId: "user-1" });
  clock.advance(10_000);
  const [first, second] = [await request(sessions, token), await request(sessions, token)];
  meanwhile.push(() => elsewhere.revokeAll("user-1"));
  const answers = await Promise.all([respond(first), respond(second)]);
  // The first one's write came before the end; the second has none of its own.
  expect(answers.map((answer) => answer.token !== null)).toEqual([true, false]);
});
