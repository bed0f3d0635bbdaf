import { existsSync, readdirSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { PACKAGE, readManifest } from "./workspace.ts";

const { "./package.json": self, ...subpaths } = readManifest(PACKAGE).exports ?? {};

/** Where the source of a published file is: the map is checked here even when the build is old. */
function sourceOf(published: string): string {
  return published.replace("./dist/", "src/").replace(/\.js$/, ".ts");
}

async function namesOf(subpath: string): Promise<string[]> {
  const entry = subpaths[subpath];
  if (typeof entry !== "object") throw new Error(`package.json exports no ${subpath}.`);
  const module = (await import(new URL(sourceOf(entry.default), PACKAGE).href)) as object;
  return Object.keys(module).toSorted();
}

describe("the exports of package.json", () => {
  it("are the index, testing, the sealed cookie, and every file of stores, frameworks and auth, and nothing else", () => {
    const found = ["stores", "frameworks", "auth"].flatMap((folder) =>
      readdirSync(new URL(`src/${folder}/`, PACKAGE))
        .filter((file) => file.endsWith(".ts"))
        .map((file) => `./${folder}/${file.slice(0, -".ts".length)}`),
    );
    expect(Object.keys(subpaths).toSorted()).toEqual([".", "./testing", "./sealed-cookie", ...found].toSorted());
    expect(self).toBe("./package.json");
  });

  it("name types and code of one source file that exists", () => {
    for (const [subpath, entry] of Object.entries(subpaths)) {
      if (typeof entry === "string") throw new Error(`${subpath} has no types.`);
      // Types first: TypeScript takes the first condition that fits.
      expect(Object.keys(entry)).toEqual(["types", "default"]);
      expect(entry.types).toBe(entry.default.replace(/\.js$/, ".d.ts"));
      expect(existsSync(new URL(sourceOf(entry.default), PACKAGE)), subpath).toBe(true);
    }
  });
});

// A name that is added here is promised to users: it may not go again without a major version.
describe("the public names", () => {
  it("of symbolon are known", async () => {
    expect(await namesOf(".")).toMatchInlineSnapshot(`
      [
        "ConflictError",
        "CookieError",
        "CsrfError",
        "DataInvalidError",
        "DataTooLargeError",
        "HeadersSentError",
        "KeyError",
        "NotAllowedError",
        "NotSupportedError",
        "OptionsError",
        "RecordCorruptError",
        "SessionLimitError",
        "SessionMissingError",
        "StoreTimeoutError",
        "StoreUnavailableError",
        "SymbolonError",
        "TOMBSTONE_MS",
        "canAdmit",
        "canClose",
        "canLock",
        "canPrune",
        "canReplicate",
        "canWarn",
        "createSessionManager",
        "generateKey",
        "hasInvalidations",
        "hasOwnerIndex",
        "hasTenantIndex",
        "isCaching",
        "isCarrying",
        "isSymbolonError",
        "isTombstone",
        "lifetimePresets",
        "limitPresets",
        "openSession",
        "refusalOf",
        "sessionOf",
        "systemClock",
        "tokenPattern",
      ]
    `);
  });

  it("of symbolon/stores/memory are known", async () => {
    expect(await namesOf("./stores/memory")).toMatchInlineSnapshot(`
      [
        "memoryStore",
      ]
    `);
  });

  it("of symbolon/stores/sqlite are known", async () => {
    expect(await namesOf("./stores/sqlite")).toMatchInlineSnapshot(`
      [
        "sqliteMigrations",
        "sqliteStore",
      ]
    `);
  });

  it("of symbolon/stores/mirrored are known", async () => {
    expect(await namesOf("./stores/mirrored")).toMatchInlineSnapshot(`
      [
        "mirrored",
      ]
    `);
  });

  it("of symbolon/frameworks/node are known", async () => {
    expect(await namesOf("./frameworks/node")).toMatchInlineSnapshot(`
      [
        "refusalOf",
        "requireFresh",
        "requireLogin",
        "requirePending",
        "requireRole",
        "requireStamp",
        "sessionOf",
        "sessionOfUpgrade",
        "withSession",
      ]
    `);
  });

  it("of symbolon/frameworks/express are known", async () => {
    expect(await namesOf("./frameworks/express")).toMatchInlineSnapshot(`
      [
        "expressSession",
        "refusalOf",
        "requireFresh",
        "requireLogin",
        "requirePending",
        "requireRole",
        "requireStamp",
        "sessionOf",
      ]
    `);
  });

  it("of symbolon/frameworks/fetch are known", async () => {
    expect(await namesOf("./frameworks/fetch")).toMatchInlineSnapshot(`
      [
        "refusalOf",
        "requireFresh",
        "requireLogin",
        "requirePending",
        "requireRole",
        "requireStamp",
        "sessionOf",
        "withSession",
      ]
    `);
  });

  it("of symbolon/auth/audit-log are known", async () => {
    expect(await namesOf("./auth/audit-log")).toMatchInlineSnapshot(`
      [
        "auditLog",
        "ndjsonSink",
      ]
    `);
  });

  it("of symbolon/auth/guards are known", async () => {
    expect(await namesOf("./auth/guards")).toMatchInlineSnapshot(`
      [
        "freshGuard",
        "loginGuard",
        "pendingGuard",
        "roleGuard",
        "stampGuard",
      ]
    `);
  });

  it("of symbolon/auth/one-time-tokens are known", async () => {
    expect(await namesOf("./auth/one-time-tokens")).toMatchInlineSnapshot(`
      [
        "oneTimeTokens",
      ]
    `);
  });

  it("of symbolon/auth/return-target are known", async () => {
    expect(await namesOf("./auth/return-target")).toMatchInlineSnapshot(`
      [
        "returnTarget",
      ]
    `);
  });

  it("of symbolon/auth/device-name are known", async () => {
    expect(await namesOf("./auth/device-name")).toMatchInlineSnapshot(`
      [
        "nameDevice",
      ]
    `);
  });

  it("of symbolon/testing are known", async () => {
    expect(await namesOf("./testing")).toMatchInlineSnapshot(`
      [
        "faultyStore",
        "hasAbility",
        "manualClock",
        "storeContract",
      ]
    `);
  });
});
