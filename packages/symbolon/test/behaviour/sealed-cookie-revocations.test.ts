/** `sealedCookie` with a store in which ends are noted. */
import { openSession, type Store } from "symbolon";
import { memoryStore } from "symbolon/stores/memory";
import { faultyStore } from "symbolon/testing";
import { describe, expect, it } from "vitest";
import { Browser, type Cluster, cluster, loggedIn, ORIGIN, USER } from "../support/carried-sessions.ts";
import { spied } from "../support/stores.ts";

function noting(): Cluster {
  return cluster({ revocations: memoryStore() });
}

describe("with a store for revocations", () => {
  it("a logout holds in every process, for every copy", async () => {
    const { process } = noting();
    const browser = await loggedIn(process());
    const elsewhere = process();
    const copies = [await browser.copy(), await browser.copy()];
    expect(await copies[1]!.state(elsewhere)).toBe(USER);
    await browser.visit(process(), async ({ session }) => session.logout());
    expect(await copies[0]!.state(process())).toBe("logout");
    expect(await copies[1]!.state(elsewhere)).toBe("logout");
  });

  it("a login ends the session before it everywhere (R-011)", async () => {
    const { process } = noting();
    const browser = new Browser();
    await browser.visit(process(), ({ session }) => (session.data["cart"] = 1));
    const copy = await browser.copy();
    await browser.visit(process(), async ({ session }) => session.login(USER));
    expect(await copy.state(process())).toBe("replaced");
    expect(await browser.state(process())).toBe(USER);
  });

  it("revokeAll ends what the user began before, and nothing of others or of later", async () => {
    const { process, clock } = noting();
    const [one, two] = [await loggedIn(process()), await loggedIn(process())];
    const other = new Browser();
    await other.visit(process(), async ({ session }) => session.login("user-2"));
    clock.advance(1);
    await process().revokeAll(USER, { reason: "stolen" });
    clock.advance(1);
    const later = await loggedIn(process());
    expect(await one.state(process())).toBe("stolen");
    expect(await two.state(process())).toBe("stolen");
    expect(await other.state(process())).toBe("user-2");
    expect(await later.state(process())).toBe(USER);
  });

  it("keepLogin keeps this session from its new version on, and ends copies of it and all others (R-034)", async () => {
    const { process, clock } = noting();
    const [browser, another] = [await loggedIn(process()), await loggedIn(process())];
    const copy = await browser.copy();
    clock.advance(1000);
    await browser.visit(process(), async ({ session }) => session.keepLogin("new-stamp"));
    expect(await browser.state(process())).toBe(USER);
    expect(await copy.state(process())).not.toBe(USER);
    expect(await another.state(process())).not.toBe(USER);
    await browser.visit(process(), ({ session }) => (session.data["n"] = 1));
    expect(await browser.state(process())).toBe(USER);
  });

  it("cannot be evaded by a cookie that says it is younger", async () => {
    const { process, clock } = noting();
    const browser = await loggedIn(process());
    const warm = process();
    expect(await (await browser.copy()).state(warm)).toBe(USER);
    clock.advance(1);
    await process().revokeAll(USER);
    const value = (await browser.jar.getCookieString(ORIGIN)).slice("__Host-sid=".length);
    const record = Buffer.from(value.slice(86), "base64url");
    record.writeUIntBE(clock.now() + 1000, 7, 6);
    const cookie = `__Host-sid=${value.slice(0, 86)}${record.toString("base64url")}`;
    for (const sessions of [process(), warm]) {
      expect((await openSession(sessions, new Headers({ cookie }))).session.state).toBe("anonymous");
    }
  });

  it("an update in flight while another process revokes is answered gone, and sends no cookie", async () => {
    const { process } = noting();
    const sessions = process();
    const browser = await loggedIn(sessions);
    const opened = await browser.open(sessions);
    opened.session.data["late"] = true;
    await (await browser.copy()).visit(process(), async ({ session }) => session.logout());
    expect(await opened.commit()).toEqual([]);
    expect(await browser.state(process())).toBe("logout");
  });

  it("fails closed when the revocations cannot be read or written", async () => {
    const faults = faultyStore(memoryStore());
    const { process } = cluster({ revocations: faults.store });
    const browser = await loggedIn(process());
    faults.fail();
    await expect(browser.open(process())).rejects.toMatchObject({ status: 503 });
    faults.heal();
    const opened = await browser.open(process());
    faults.fail();
    await expect(opened.session.logout()).rejects.toMatchObject({ status: 503 });
    faults.heal();
    expect(await browser.state(process())).toBe(USER);
  });

  it("costs two reads for a user's request, one for a visitor's, and none for garbage", async () => {
    const { store, calls } = spied<Store>(memoryStore());
    const { process } = cluster({ revocations: store });
    const [browser, visitor] = [await loggedIn(process()), new Browser()];
    await visitor.visit(process(), ({ session }) => (session.data["n"] = 1));
    calls.length = 0;
    await browser.state(process());
    expect(calls).toEqual(["read", "read"]);
    calls.length = 0;
    await visitor.state(process());
    expect(calls).toEqual(["read"]);
    calls.length = 0;
    await openSession(process(), new Headers({ cookie: "__Host-sid=garbage.1.AAAA" }));
    expect(calls).toEqual([]);
  });

  it("notes are pruned once no copy can live any more", async () => {
    const store = memoryStore();
    const { process, clock } = cluster({ revocations: store });
    const sessions = process();
    const browser = await loggedIn(sessions);
    await browser.visit(sessions, async ({ session }) => session.logout());
    clock.advance(30 * 86_400_000);
    expect(await sessions.prune()).toBe(0);
    clock.advance(120_000);
    expect(await sessions.prune()).toBe(1);
  });
});
