import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type RunningApp, startApp } from "./app-process.ts";

describe("The example application over HTTP", () => {
  let folder: string;
  let app: RunningApp;

  beforeAll(async () => {
    folder = mkdtempSync(join(tmpdir(), "symbolon-routes-"));
    app = await startApp({ PORT: "0", SYMBOLON_DATA: join(folder, "data") });
  });

  afterAll(async () => {
    await app.stop();
    rmSync(folder, { recursive: true, force: true });
  });

  function postNote(headers: Readonly<Record<string, string>>, note = "hello"): Promise<Response> {
    return fetch(`${app.url}/notes`, {
      method: "POST",
      redirect: "manual",
      headers,
      body: new URLSearchParams({ note }),
    });
  }

  test.each([
    ["its own page", { "Sec-Fetch-Site": "same-origin" }, 303],
    ["its own page, in a browser that names only the origin", { Origin: "OWN" }, 303],
    ["another site", { "Sec-Fetch-Site": "cross-site" }, 403],
    ["another port of this machine", { "Sec-Fetch-Site": "same-site", Origin: "http://127.0.0.1:1" }, 403],
    ["another origin, in a browser that names only that", { Origin: "https://evil.example" }, 403],
    ["an opaque origin", { Origin: "null" }, 403],
    ["a client without a cookie that does not say where from: it has nothing to lose", {}, 303],
  ])("answers a form from %s", async (_from, headers, status) => {
    const sent = Object.entries(headers).map(([name, value]) => [name, value.replace("OWN", app.url)]);
    const answer = await postNote(Object.fromEntries(sent) as Record<string, string>);
    expect(answer.status).toBe(status);
    expect(answer.headers.getSetCookie()).toHaveLength(status === 303 ? 1 : 0);
  });

  test.each(["/", "/about", "/ended", "/login", "/signup", "/nothing-here"])(
    "sends %s under a strict policy, and not to be framed",
    async (path) => {
      const { headers } = await fetch(app.url + path);
      expect(headers.get("content-security-policy")).toMatch(/^default-src 'none';.*frame-ancestors 'none'/);
      expect(headers.get("x-content-type-options")).toBe("nosniff");
      expect(headers.get("x-powered-by")).toBeNull();
    },
  );

  test("keeps pages with a session out of shared caches, and leaves others alone", async () => {
    const start = await fetch(app.url);
    const about = await fetch(`${app.url}/about`);
    expect(start.headers.get("cache-control")).toBe("private, no-store");
    expect(about.headers.get("cache-control")).toBeNull();
  });

  test("answers what it does not have or understand with a page, and goes on", async () => {
    const own = { "Sec-Fetch-Site": "same-origin" };
    expect((await fetch(`${app.url}/nothing-here`)).status).toBe(404);
    expect((await postNote(own, "x".repeat(9000))).status).toBe(413);
    const notUtf8 = await postNote({ ...own, "Content-Type": "application/x-www-form-urlencoded; charset=latin9" });
    expect(notUtf8.status).toBe(415);
    expect(await notUtf8.text()).toContain("<h1>Not understood</h1>");
    expect((await fetch(app.url)).status).toBe(200);
  });

  test("takes fifty notes, and says when no more fit", async () => {
    const own = { "Sec-Fetch-Site": "same-origin" };
    const first = await postNote(own, "note 0");
    const cookie = first.headers.getSetCookie()[0]?.split(";")[0] ?? "";
    for (let count = 1; count < 50; count++) {
      expect((await postNote({ ...own, cookie }, "😀".repeat(140))).status).toBe(303);
    }
    const refused = await postNote({ ...own, cookie }, "one too many");
    expect(refused.headers.get("location")).toBe("/#problems");
    expect(await (await fetch(app.url, { headers: { cookie } })).text()).toContain("no more fit");
  });
});
