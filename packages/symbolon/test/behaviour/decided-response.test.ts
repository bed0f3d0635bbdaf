/** openSession by hand, once the response is decided: what the request said is forgotten. */
import { openSession } from "symbolon";
import { describe, expect, it } from "vitest";
import { manager } from "../support/sessions.ts";

const FORGED = new Headers({ "sec-fetch-site": "cross-site", origin: "https://evil.example" });

describe("a request whose response is decided", () => {
  it("is not judged any more: it would seem to come from nowhere, and pass", async () => {
    const sessions = manager();
    const { token } = await sessions.create({ userId: "user-1" });
    const headers = new Headers([...FORGED, ["cookie", `__Host-sid=${token}`]]);
    const before = await openSession(sessions, headers);
    expect(before.csrfRefusal({ method: "POST" })).toBe("cross-site");
    const late = await openSession(sessions, headers);
    late.cookies();
    expect(() => late.csrfRefusal({ method: "POST" })).toThrow(expect.objectContaining({ code: "ERR_HEADERS_SENT" }));
  });

  it("gives up its cookies once, and its session is what it was", async () => {
    const sessions = manager();
    const opened = await openSession(sessions, new Headers());
    await opened.session.login("user-1");
    expect([opened.cookies().length, opened.cookies().length]).toEqual([1, 0]);
    expect([opened.session.userId, await opened.session.save()]).toEqual(["user-1", "unchanged"]);
  });
});
