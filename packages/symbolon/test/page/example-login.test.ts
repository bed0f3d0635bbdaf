import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type RunningApp, startApp } from "./app-process.ts";
import { hiddenField, HttpVisitor, messagesOf, titleOf } from "./http-visitor.ts";

const PASSWORD = "correct horse battery";
const OTHER = "another horse entirely";
const NO_MATCH = expect.stringMatching(/^Name and password do not match\./);

async function isLoggedIn(visitor: HttpVisitor): Promise<boolean> {
  return (await visitor.get("/account")).status === 200;
}

/** The id of a user, as the administrator's page names it. */
async function idOf(root: HttpVisitor, name: string): Promise<string> {
  const { text } = await root.get("/admin?after=");
  const card = text.split('<li class="card">').find((one) => one.includes(`<h2>\n      ${name} `)) ?? "";
  return /\/admin\/users\/([\w-]+)\/role/.exec(card)?.[1] ?? `no id of ${name}`;
}

describe("The example application's accounts over HTTP", () => {
  let folder: string;
  let app: RunningApp;
  let users = 0;

  beforeAll(async () => {
    folder = mkdtempSync(join(tmpdir(), "symbolon-login-"));
    app = await startApp({ PORT: "0", SYMBOLON_DATA: join(folder, "data") });
    await new HttpVisitor(app.url).signUp("root", PASSWORD);
  });

  afterAll(async () => {
    await app.stop();
    rmSync(folder, { recursive: true, force: true });
  });

  /** A user of this test only, who is logged in. */
  async function newUser(): Promise<{ name: string; visitor: HttpVisitor }> {
    const name = `user${users++}`;
    const visitor = new HttpVisitor(app.url);
    const page = await visitor.signUp(name, PASSWORD);
    expect(messagesOf(page)).toEqual([`Welcome, ${name}.`]);
    return { name, visitor };
  }

  async function loggedIn(name: string, password = PASSWORD): Promise<HttpVisitor> {
    const visitor = new HttpVisitor(app.url);
    expect(titleOf(await visitor.logIn(name, password))).toBe("Your account");
    return visitor;
  }

  describe("sign up", () => {
    test.each([
      ["a short password", "ada", "short", "password", /12 or more/],
      ["a password without end", "ada", "x".repeat(201), "password", /at most 200/],
      ["no name", "", PASSWORD, "name", /2 to 32 letters/],
      ["a name with markup", "<b>ada</b>", PASSWORD, "name", /2 to 32 letters/],
      ["a taken name, whatever its case", "ROOT", PASSWORD, "name", /is taken/],
    ])("refuses %s, and keeps what was typed but the password", async (_what, name, password, field, problem) => {
      const visitor = new HttpVisitor(app.url);
      const page = await visitor.signUp(name, password);
      expect(titleOf(page)).toBe("Sign up");
      expect(messagesOf(page)).toEqual([expect.stringMatching(problem)]);
      expect(page.text).toContain(`<a href="#${field}">`);
      expect(page.text).toContain(`aria-describedby="${field}-hint ${field}-problem"`);
      expect(page.text).not.toContain(password);
      expect(page.text).not.toContain("<b>ada");
      expect(await isLoggedIn(visitor)).toBe(false);
    });

    test("makes the first account the administrator's, and no other", async () => {
      const { visitor } = await newUser();
      expect((await visitor.get("/account")).text).not.toContain("Administrator");
      expect((await (await loggedIn("root")).get("/account")).text).toContain("Administrator");
    });

    test("lets one of several have a name that all ask for at once", async () => {
      const visitors = Array.from({ length: 4 }, () => new HttpVisitor(app.url));
      const pages = await Promise.all(visitors.map((visitor) => visitor.signUp("wanted", PASSWORD)));
      expect(pages.filter((page) => titleOf(page) === "Your account")).toHaveLength(1);
      expect(pages.flatMap(messagesOf).filter((message) => message.includes("is taken"))).toHaveLength(3);
    });
  });

  describe("log in", () => {
    test("answers an unknown name and a wrong password alike", async () => {
      const { name } = await newUser();
      const answers = [];
      for (const typed of [name, "nobody-here"]) {
        const visitor = new HttpVisitor(app.url);
        const answer = await visitor.post("/login", { name: typed, password: OTHER });
        const page = await visitor.get("/login");
        const normal = page.text.replaceAll(typed, "NAME").replaceAll(/x1_[\w-]+/g, "TOKEN");
        const headers = [...answer.headers].filter(([header]) => header !== "set-cookie" && header !== "date");
        answers.push({ status: answer.status, headers, messages: messagesOf(page), normal });
      }
      expect(answers[0]).toMatchObject({ status: 303, messages: [NO_MATCH] });
      expect(answers[1]).toEqual(answers[0]);
    });

    test("takes as long for an unknown name as for a wrong password", async () => {
      const { name } = await newUser();
      const fastest = { known: Infinity, unknown: Infinity };
      for (let round = 0; round < 5; round++) {
        for (const who of ["known", "unknown"] as const) {
          const started = performance.now();
          await new HttpVisitor(app.url).post("/login", { name: who === "known" ? name : "nobody", password: OTHER });
          fastest[who] = Math.min(fastest[who], performance.now() - started);
        }
      }
      // Without the same hashing, it would be a hundredth.
      expect(fastest.unknown / fastest.known).toBeGreaterThan(0.5);
      expect(fastest.unknown / fastest.known).toBeLessThan(2);
    });

    test("takes ten wrong passwords in a row, then none for a while, and says nothing else", async () => {
      const { name } = await newUser();
      const other = await newUser();
      const visitor = new HttpVisitor(app.url);
      for (let count = 0; count < 10; count++) await visitor.post("/login", { name, password: OTHER });
      const page = await visitor.logIn(name, PASSWORD);
      expect(messagesOf(page)).toEqual([NO_MATCH]);
      expect(await isLoggedIn(visitor)).toBe(false);
      await loggedIn(other.name);
    });

    test("forgets wrong passwords after a right one", async () => {
      const { name } = await newUser();
      const visitor = new HttpVisitor(app.url);
      for (let round = 0; round < 2; round++) {
        for (let count = 0; count < 6; count++) await visitor.post("/login", { name, password: OTHER });
        await loggedIn(name);
      }
    });

    test("counts tries that come all at once", async () => {
      const { name } = await newUser();
      const request = (password: string): string => {
        const body = new URLSearchParams({ name, password }).toString();
        return (
          `POST /login HTTP/1.1\r\nHost: ${new URL(app.url).host}\r\nSec-Fetch-Site: same-origin\r\n` +
          `Content-Type: application/x-www-form-urlencoded\r\nContent-Length: ${body.length}\r\n\r\n${body}`
        );
      };
      // On one connection, so that the right one is the eleventh: handled before any of the others is answered.
      const { port } = new URL(app.url);
      const socket = connect({ host: "127.0.0.1", port: Number(port) });
      socket.write(request(OTHER).repeat(10) + request(PASSWORD));
      let received = "";
      for await (const chunk of socket) {
        received += String(chunk);
        if (received.split("HTTP/1.1 303").length === 12) break;
      }
      const locations = [...received.matchAll(/\r\nLocation: (\S+)/g)].map(([, location]) => location);
      expect(new Set(locations)).toEqual(new Set(["/login?return=%2Faccount#problems"]));
      expect(locations).toHaveLength(11);
    });

    test("is a new session: the cookie from before opens nothing", async () => {
      const { name } = await newUser();
      const visitor = new HttpVisitor(app.url);
      await visitor.get("/");
      const before = visitor.cookie;
      await visitor.logIn(name, PASSWORD);
      expect(visitor.cookie).not.toBe(before);
      const thief = new HttpVisitor(app.url);
      thief.cookie = before;
      expect(await isLoggedIn(thief)).toBe(false);
    });

    test("carries a visitor's notes over, and never those of another user", async () => {
      const [first, second] = [await newUser(), await newUser()];
      const visitor = new HttpVisitor(app.url);
      await visitor.post("/notes", { note: "of a visitor" });
      await visitor.logIn(first.name, PASSWORD);
      expect((await visitor.get("/")).text).toContain("of a visitor");
      await visitor.post("/login", { name: second.name, password: PASSWORD });
      const page = await visitor.get("/");
      expect(page.text).toContain(`<strong>${second.name}</strong>`);
      expect(page.text).not.toContain("of a visitor");
    });

    test.each([
      "//evil.example",
      "https://evil.example/",
      "/\\evil.example",
      "javascript:alert(1)",
      "",
      "/\t/evil.example",
    ])("leads nowhere but into this application: %j", async (target) => {
      const visitor = new HttpVisitor(app.url);
      const page = await visitor.get(`/login?return=${encodeURIComponent(target)}`);
      expect(hiddenField(page, "return")).toBe("/account");
      const answer = await visitor.post("/login", { name: "root", password: PASSWORD, return: target });
      expect(answer.location).toBe("/account");
      const again = await visitor.get(`/login?return=${encodeURIComponent(target)}`);
      expect(again.location).toBe("/account");
    });

    test.each(["/account", "/account/password", "/account/delete", "/devices", "/admin?after=b", "/confirm"])(
      "comes before %s, and leads there",
      async (path) => {
        const visitor = new HttpVisitor(app.url);
        const { status, location } = await visitor.get(path);
        expect(status).toBe(303);
        expect(location).toBe(`/login?return=${encodeURIComponent(path)}`);
        const answer = await visitor.post("/login", { name: "root", password: PASSWORD, return: path });
        expect(answer.location).toBe(path);
      },
    );

    test.each(["/account/password", "/account/delete", "/devices/end", "/devices/end-others", "/admin/users/x/role"])(
      "comes before the form %s, and leads to its area",
      async (path) => {
        const { status, location } = await new HttpVisitor(app.url).post(path);
        expect(status).toBe(303);
        expect(location).toMatch(/^\/login\?return=%2F(?:account|devices|admin)$/);
      },
    );
  });

  describe("forms", () => {
    test("need the hidden field where the browser does not say where they come from", async () => {
      const { visitor } = await newUser();
      const silent = new HttpVisitor(app.url, {});
      silent.cookie = visitor.cookie;
      const other = hiddenField(await (await newUser()).visitor.get("/account"), "_csrf") ?? "";
      const own = hiddenField(await silent.get("/"), "_csrf") ?? "";
      const statuses: number[] = [];
      for (const token of ["", other, own]) {
        statuses.push((await silent.post("/notes", { note: "hello", _csrf: token })).status);
      }
      expect(statuses).toEqual([403, 403, 303]);
    });

    test("all have that field", async () => {
      const { visitor } = await newUser();
      const root = await loggedIn("root");
      await root.get("/");
      const pages = [
        ...(await Promise.all(["/login", "/signup", "/"].map((path) => new HttpVisitor(app.url).get(path)))),
        ...(await Promise.all(["/", "/account", "/account/password", "/devices"].map((path) => visitor.get(path)))),
        ...(await Promise.all(["/account/delete", "/confirm", "/admin"].map((path) => root.get(path)))),
      ];
      for (const { status, text } of pages) {
        expect(status).toBe(200);
        const forms =
          text.match(/<form method="post"[^>]*>\s*<input type="hidden" name="_csrf" value="x1_[\w-]+"/g) ?? [];
        expect(forms.length).toBeGreaterThan(0);
        expect(forms).toHaveLength(text.split("<form").length - 1);
      }
    });
  });

  describe("devices", () => {
    test("of others are as unknown, and stay", async () => {
      const [mine, other] = [await newUser(), await newUser()];
      const second = await loggedIn(other.name);
      const handle = hiddenField(await second.get("/devices"), "id") ?? "";
      expect(handle).toMatch(/^[\w-]{20,}$/);
      const answers = [await mine.visitor.submit("/devices/end", { id: handle })];
      answers.push(await mine.visitor.submit("/devices/end", { id: "never-heard-of" }));
      expect(answers.map(messagesOf)).toEqual([
        ["That device was signed out already."],
        ["That device was signed out already."],
      ]);
      expect(await isLoggedIn(other.visitor)).toBe(true);
    });

    test("show no token", async () => {
      const { visitor } = await newUser();
      const token = (visitor.cookie ?? "").slice("sid=s1_".length);
      const page = await visitor.get("/devices");
      for (let start = 0; start + 30 <= token.length; start += 10) {
        expect(page.text).not.toContain(token.slice(start, start + 30));
      }
    });

    test.each([
      ["nothing, without a cookie", null, []],
      ["that it is over, with one that opens nothing", "sid=s1_garbage", [expect.stringMatching(/is over\./)]],
    ])("are told %s", async (_what, cookie, messages) => {
      const visitor = new HttpVisitor(app.url);
      visitor.cookie = cookie;
      expect(messagesOf(await visitor.get("/login"))).toEqual(messages);
      expect(messagesOf(await visitor.get("/login"))).toEqual([]);
    });

    test("are told nothing of a request that was on its way while they got a new cookie", async () => {
      const { visitor } = await newUser();
      const late = new HttpVisitor(app.url);
      late.cookie = visitor.cookie;
      expect((await visitor.post("/confirm", { password: PASSWORD })).location).toBe("/account");
      expect(messagesOf(await late.get("/"))).toEqual([]);
      const answer = await late.get("/account");
      expect(answer.status).toBe(303);
      expect(answer.headers.getSetCookie()).toEqual([]);
      late.cookie = visitor.cookie;
      expect((await late.get(answer.location ?? "")).location).toBe("/account");
    });
  });

  describe("administrators", () => {
    test("alone see the page and use its forms", async () => {
      const [user, victim] = [await newUser(), await newUser()];
      const id = await idOf(await loggedIn("root"), victim.name);
      expect((await user.visitor.get("/admin")).status).toBe(403);
      expect((await user.visitor.get("/Admin/")).status).toBe(403);
      expect((await user.visitor.post(`/admin/users/${id}/end-sessions`)).status).toBe(403);
      expect((await user.visitor.post(`/admin/users/${id}/role`, { admin: "yes" })).status).toBe(403);
      expect(await isLoggedIn(victim.visitor)).toBe(true);
      expect((await victim.visitor.get("/admin")).status).toBe(403);
    });

    test("give and take the role, in sessions that are open, too", async () => {
      const root = await loggedIn("root");
      const { name, visitor } = await newUser();
      const id = await idOf(root, name);
      const given = await root.submit(`/admin/users/${id}/role`, { admin: "yes" });
      expect(messagesOf(given)).toEqual([`${name} is an administrator now.`]);
      expect((await visitor.get("/admin")).status).toBe(200);
      const taken = await root.submit(`/admin/users/${id}/role`, { admin: "no" });
      expect(messagesOf(taken)).toEqual([`${name} is no administrator now.`]);
      expect((await visitor.get("/admin")).status).toBe(403);
      expect((await (await loggedIn(name)).get("/admin")).status).toBe(403);
    });

    test("never become none", async () => {
      const root = await loggedIn("root");
      const kept = await root.submit("/account/delete");
      expect(messagesOf(kept)).toEqual([expect.stringMatching(/only administrator/)]);
      expect((await root.get("/admin")).status).toBe(200);
      expect((await root.get("/admin")).text).toContain('<span class="tag">You</span>');
    });

    test("lose the role in a login that is under way, too", async () => {
      const root = await loggedIn("root");
      const { name } = await newUser();
      const id = await idOf(root, name);
      await root.submit(`/admin/users/${id}/role`, { admin: "yes" });
      const late = new HttpVisitor(app.url);
      // Hashing the password takes much longer than the change of role.
      const login = late.post("/login", { name, password: PASSWORD });
      await root.submit(`/admin/users/${id}/role`, { admin: "no" });
      expect((await login).location).toBe("/account");
      expect((await late.get("/admin")).status).toBe(403);
    });

    test("cannot give up the role while they are the only one", async () => {
      const root = await loggedIn("root");
      const { name, visitor } = await newUser();
      const id = await idOf(root, name);
      await root.submit(`/admin/users/${id}/role`, { admin: "yes" });
      const rootId = await idOf(visitor, "root");
      await root.submit(`/admin/users/${id}/role`, { admin: "no" });
      const page = await root.submit(`/admin/users/${rootId}/role`, { admin: "no" });
      expect(messagesOf(page)).toEqual(["That user is gone, or the only administrator."]);
      expect((await root.get("/admin")).status).toBe(200);
    });

    test("end the sessions of a user, who is told", async () => {
      const root = await loggedIn("root");
      const { name, visitor } = await newUser();
      const page = await root.submit(`/admin/users/${await idOf(root, name)}/end-sessions`);
      expect(messagesOf(page)).toEqual(["Sessions ended: 1."]);
      const { location } = await visitor.get("/account");
      expect(messagesOf(await visitor.get(location ?? ""))).toEqual(["You were signed out here by an administrator."]);
    });
  });

  describe("an account that is deleted", () => {
    test("is gone with all its sessions, and its name is free", async () => {
      const { name, visitor } = await newUser();
      const second = await loggedIn(name);
      const page = await visitor.submit("/account/delete");
      expect(messagesOf(page)).toEqual([expect.stringMatching(/^Your account is deleted/)]);
      expect(await isLoggedIn(visitor)).toBe(false);
      const { location } = await second.get("/devices");
      expect(messagesOf(await second.get(location ?? ""))).toEqual([expect.stringMatching(/your account was deleted/)]);
      expect(messagesOf(await new HttpVisitor(app.url).logIn(name, PASSWORD))).toEqual([NO_MATCH]);
      expect(titleOf(await new HttpVisitor(app.url).signUp(name, PASSWORD))).toBe("Your account");
    });
  });

  test("Of several first accounts made at once, one is the administrator's; one device each, where that is the limit", async () => {
    const env = { PORT: "0", SYMBOLON_DATA: join(folder, "of-its-own"), SYMBOLON_DEVICES: "1" };
    const other = await startApp(env);
    try {
      const visitors = Array.from({ length: 3 }, () => new HttpVisitor(other.url));
      const pages = await Promise.all(visitors.map((visitor, index) => visitor.signUp(`first${index}`, PASSWORD)));
      expect(pages.filter(({ text }) => text.includes("Administrator"))).toHaveLength(1);
      await new HttpVisitor(other.url).logIn("first0", PASSWORD);
      expect(await Promise.all(visitors.map(isLoggedIn))).toEqual([false, true, true]);
    } finally {
      await other.stop();
    }
  });

  test("What is on disk holds no password, no token and no note; the log has an entry for what happened", async () => {
    const { name, visitor } = await newUser();
    await visitor.post("/notes", { note: "very private indeed" });
    await new HttpVisitor(app.url).post("/login", { name, password: OTHER });
    await visitor.submit("/account/password", { present: PASSWORD, next: OTHER });
    await loggedIn(name, OTHER);
    await loggedIn(name, OTHER);
    await app.stop();
    const data = join(folder, "data");
    const token = (visitor.cookie ?? "").slice("sid=".length);
    for (const file of readdirSync(data)) {
      const bytes = readFileSync(join(data, file), "latin1");
      for (const secret of [PASSWORD, OTHER, "very private", token.slice(0, 40), "x1_"])
        expect(bytes).not.toContain(secret);
    }
    const entries = readFileSync(join(data, "audit.ndjson"), "utf8")
      .trimEnd()
      .split("\n")
      .map((line) => JSON.parse(line) as { type: string; time: string; userId?: string });
    const { userId } = entries.findLast(({ type }) => type === "password-changed") ?? {};
    const types = entries.filter((entry) => entry.userId === userId).map(({ type }) => type);
    const expected = "created created created evicted login login login login-failed password-changed revoked-many";
    expect(types.toSorted().join(" ")).toBe(`${expected} rotated signed-up`);
    app = await startApp({ PORT: "0", SYMBOLON_DATA: data });
    expect(await isLoggedIn(await loggedIn(name, OTHER))).toBe(true);
  });
});
