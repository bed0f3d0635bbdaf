import { describe, expect, it } from "vitest";
import { ask, backstage, begin, serve } from "./support/stage.ts";
import { TARGETS } from "./support/targets.ts";

describe.each(TARGETS)("an anonymous visitor on $name", (target) => {
  it("costs no store call and gets no cookie while nothing is stored", async () => {
    const behind = backstage();
    const served = await serve(target, behind, ({ session, respond }) => {
      respond.send(200, `${session.state} ${JSON.stringify(session.data)}`);
    });
    const answer = await ask(served, "/");
    expect(answer.body.toString()).toBe("anonymous {}");
    expect(answer.cookies).toEqual([]);
    expect(behind.calls()).toEqual([]);
  });

  it("gets an answer that no shared cache keeps when the handler looked at the session", async () => {
    const served = await serve(target, backstage(), ({ session, respond }) => {
      respond.send(200, session.userId ?? "nobody", { "Cache-Control": "public, max-age=60", Vary: "Accept" });
    });
    const answer = await ask(served, "/");
    expect(answer.headers.get("cache-control")).toBe("private, no-store");
    expect(answer.headers.get("vary")).toBe("Accept, Cookie");
  });

  it("gets a cacheable answer when the handler did not look at the session", async () => {
    const behind = backstage();
    const served = await serve(target, behind, ({ respond }) => respond.send(200, "the same for all"));
    const { cookie } = await begin(behind, { name: "Ada" });
    for (const headers of [{}, { cookie }]) {
      const answer = await ask(served, "/", headers);
      expect(answer.body.toString()).toBe("the same for all");
      expect(answer.headers.has("cache-control")).toBe(false);
      expect(answer.headers.has("vary")).toBe(false);
      expect(answer.cookies).toEqual([]);
    }
  });

  it("gets no cookie and costs no write by logging out", async () => {
    const behind = backstage();
    const served = await serve(target, behind, async ({ session, respond }) => {
      await session.logout();
      respond.send(204);
    });
    const answer = await ask(served, "/");
    expect(answer.status).toBe(204);
    expect(answer.cookies).toEqual([]);
    expect(behind.calls()).toEqual([]);
  });
});
