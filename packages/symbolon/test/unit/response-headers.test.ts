import { describe, expect, it } from "vitest";
import { cacheControlFor, varyWith } from "../../src/http/response-headers.ts";

describe("Cache-Control of a response with a session", () => {
  it("forbids storing when the application said nothing", () => {
    for (const existing of [undefined, null, ""]) expect(cacheControlFor(existing)).toBe("private, no-store");
  });

  it.each(["no-store", "NO-Store", "max-age=0,no-store", "no-cache , \tno-store\t, private", 'ext="a,\\"b", no-store'])(
    "keeps the application's %j",
    (existing) => {
      expect(cacheControlFor(existing)).toBe(existing);
    },
  );

  it.each([
    "public, max-age=60",
    "private",
    "no-cache",
    "x-no-store",
    "no-store-ever",
    "no-store=1",
    "no store",
    "\u00a0no-store",
    'ext="no-store"',
    'ext="a, no-store, b"',
    'ext="a\\", no-store, b"',
    'ext="a, no-store',
    'ext="a, no-store\\',
  ])("replaces the application's %j, which lets a cache store it", (existing) => {
    expect(cacheControlFor(existing)).toBe("private, no-store");
  });
});

describe("Vary of a response with a session", () => {
  it("is the field alone when there was none", () => {
    for (const existing of [undefined, null, "", " ", [], [""]]) expect(varyWith(existing, "Cookie")).toBe("Cookie");
  });

  it("adds the field behind those there are", () => {
    expect(varyWith("Accept", "Cookie")).toBe("Accept, Cookie");
    expect(varyWith("X-Cookie, Cookie-2", "Cookie")).toBe("X-Cookie, Cookie-2, Cookie");
    expect(varyWith(["Accept", "Origin"], "Cookie")).toBe("Accept, Origin, Cookie");
  });

  it("adds nothing when the field is there in whatever case", () => {
    expect(varyWith("Accept,cookie", "Cookie")).toBe("Accept,cookie");
    expect(varyWith(["Accept", "COOKIE"], "Cookie")).toBe("Accept, COOKIE");
  });

  it("adds several fields, and of them only those that are missing", () => {
    expect(varyWith(null, "Authorization, Cookie")).toBe("Authorization, Cookie");
    expect(varyWith("Accept, cookie", "Authorization, Cookie")).toBe("Accept, cookie, Authorization");
    expect(varyWith("Cookie,authorization", "Authorization, Cookie")).toBe("Cookie,authorization");
  });

  it("adds nothing to a star", () => {
    expect(varyWith("*", "Cookie")).toBe("*");
    expect(varyWith("Accept, *", "Cookie")).toBe("Accept, *");
  });
});
