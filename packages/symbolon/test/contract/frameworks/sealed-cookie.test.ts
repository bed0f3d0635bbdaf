/** Sessions that the client carries, through every binding. */
import { createSessionManager, generateKey, type SessionManager } from "symbolon";
import { sealedCookie } from "symbolon/sealed-cookie";
import { memoryStore } from "symbolon/stores/memory";
import { describe, expect, it, onTestFinished } from "vitest";
import type { Handler, Target } from "./support/app.ts";
import { deferred, OWN_PAGE, visitor, type Visitor } from "./support/stage.ts";
import { TARGETS } from "./support/targets.ts";

const LARGE = 6000;

/** Settles once the client has the beginning of a body. */
let begun: Promise<void>;

const application: Handler = async ({ path, session, respond }) => {
  const url = new URL(path, "http://localhost");
  if (url.pathname === "/login") await session.login("ada");
  if (url.pathname === "/logout") await session.logout();
  if (url.pathname === "/fill") session.data["text"] = "x".repeat(Number(url.searchParams.get("bytes")));
  if (url.pathname === "/late") {
    const body = respond.stream();
    await body.write("begun");
    await begun;
    session.data["text"] = "late";
    return body.end();
  }
  const text = session.data["text"];
  respond.send(200, `${session.userId ?? session.state} ${typeof text === "string" ? text.length : 0}`);
};

/** Two servers that share keys and revocations, and the visitors' ways to both. */
async function twoServers(target: Target): Promise<readonly [Visitor, (from: Visitor) => Visitor]> {
  const keys = [generateKey()];
  const revocations = memoryStore();
  const start = async (): Promise<Visitor> => {
    const store = sealedCookie({ revocations });
    const sessions: SessionManager = createSessionManager({ store, keys, trustProxy: true, pruneEvery: false });
    const served = await target.serve([sessions], application);
    onTestFinished(() => served.close());
    return visitor(served);
  };
  const [first, second] = [await start(), await start()];
  return [
    first,
    (from) => {
      for (const cookie of from.jar.getCookiesSync("https://app.example/")) {
        second.jar.setCookieSync(cookie.toString(), "https://app.example/");
      }
      return second;
    },
  ];
}

describe.each(TARGETS)("a session that the client carries, on $name", (target) => {
  it("is opened by another server, and ends on both", async () => {
    const [first, carryOver] = await twoServers(target);
    expect((await first.get("/")).cookies).toEqual([]);
    await first.post("/login");
    await first.post("/fill?bytes=10");
    const second = carryOver(first);
    expect((await second.get("/")).body.toString()).toBe("ada 10");
    await first.post("/logout");
    expect(first.cookies()).toBe("");
    expect((await second.get("/")).body.toString()).toBe("anonymous 0");
  });

  it("comes in several cookies when it is large", async () => {
    const [first, carryOver] = await twoServers(target);
    await first.post("/login");
    const filled = await first.post(`/fill?bytes=${LARGE}`);
    expect(filled.cookies).toHaveLength(3);
    expect((await carryOver(first).get("/")).body.toString()).toBe(`ada ${LARGE}`);
    expect((await first.post("/fill?bytes=1")).cookies).toHaveLength(3);
    expect(first.cookies().split("; ")).toHaveLength(1);
    expect((await first.get("/")).body.toString()).toBe("ada 1");
  });

  it("answers 413 when no cookies can hold it, and leaves what was there", async () => {
    const [first] = await twoServers(target);
    await first.post("/login");
    const refused = await first.post("/fill?bytes=10000");
    expect([refused.status, refused.cookies]).toEqual([413, []]);
    expect((await first.get("/")).body.toString()).toBe("ada 0");
  });

  it("cuts a response whose session changed after its headers had left", async () => {
    const [first] = await twoServers(target);
    await first.post("/login");
    const headers = deferred();
    begun = headers.promise;
    const asking = first.open("/late", { method: "POST", headers: OWN_PAGE });
    const go = (): void => headers.resolve();
    asking.firstChunk.then(go, go);
    const late = asking.answer;
    // The header may not have come, when all of it was cut.
    const isCut = await late.then(
      (answer) => answer.isCut,
      () => true,
    );
    expect(isCut).toBe(true);
    expect((await first.get("/")).body.toString()).toBe("ada 0");
  });
});
