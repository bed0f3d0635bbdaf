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
  it("are the index, testing, the sealed cookie, JWTs, and every file of stores, frameworks and auth, and nothing else", () => {
    const found = ["stores", "frameworks", "auth"].flatMap((folder) =>
      readdirSync(new URL(`src/${folder}/`, PACKAGE))
        .filter((file) => file.endsWith(".ts"))
        .map((file) => `./${folder}/${file.slice(0, -".ts".length)}`),
    );
    expect(Object.keys(subpaths).toSorted()).toEqual(
      [".", "./testing", "./sealed-cookie", "./jwt", ...found].toSorted(),
    );
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

/** What each subpath exports. A name that is here is promised to users: it goes with a major version only. */
const PUBLIC: Readonly<Record<string, readonly string[]>> = {
  ".": [
    "ConflictError",
    "CookieError",
    "CsrfError",
    "DataInvalidError",
    "DataTooLargeError",
    "HeadersSentError",
    "KeyError",
    "LeaseLostError",
    "LockTimeoutError",
    "NotAllowedError",
    "NotSupportedError",
    "OptionsError",
    "RecordCorruptError",
    "SessionEndedError",
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
    "challengeOf",
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
  ],
  "./stores/memory": ["memoryStore"],
  "./stores/sqlite": ["sqliteMigrations", "sqliteStore"],
  "./stores/mirrored": ["mirrored"],
  "./stores/cached": ["cached"],
  "./stores/file": ["fileStore"],
  "./stores/memcached": ["memcachedStore"],
  "./stores/mysql": ["mysqlMigrations", "mysqlStore"],
  "./stores/postgres": ["postgresMigrations", "postgresStore"],
  "./stores/redis": ["redisStore"],
  "./sealed-cookie": ["sealedCookie"],
  "./jwt": ["claimsOf", "createJwtSessionManager", "createJwtVerifier", "generateJwtKey", "unsafeDecodeJwt"],
  "./frameworks/node": [
    "challengeOf",
    "refusalOf",
    "requireFresh",
    "requireLogin",
    "requirePending",
    "requireRole",
    "requireStamp",
    "sessionOf",
    "sessionOfUpgrade",
    "withSession",
  ],
  "./frameworks/express": [
    "challengeOf",
    "expressSession",
    "refusalOf",
    "requireFresh",
    "requireLogin",
    "requirePending",
    "requireRole",
    "requireStamp",
    "sessionOf",
  ],
  "./frameworks/fetch": [
    "challengeOf",
    "refusalOf",
    "requireFresh",
    "requireLogin",
    "requirePending",
    "requireRole",
    "requireStamp",
    "sessionOf",
    "withSession",
  ],
  "./frameworks/fastify": [
    "challengeOf",
    "fastifySession",
    "refusalOf",
    "requireFresh",
    "requireLogin",
    "requirePending",
    "requireRole",
    "requireStamp",
    "sessionOf",
  ],
  "./frameworks/hono": [
    "challengeOf",
    "honoSession",
    "refusalOf",
    "requireFresh",
    "requireLogin",
    "requirePending",
    "requireRole",
    "requireStamp",
    "sessionOf",
  ],
  "./frameworks/koa": [
    "challengeOf",
    "koaSession",
    "refusalOf",
    "requireFresh",
    "requireLogin",
    "requirePending",
    "requireRole",
    "requireStamp",
    "sessionOf",
  ],
  "./auth/api-tokens": ["apiTokens"],
  "./auth/audit-log": ["auditLog", "ndjsonSink"],
  "./auth/guards": ["freshGuard", "loginGuard", "pendingGuard", "roleGuard", "stampGuard"],
  "./auth/one-time-tokens": ["oneTimeTokens"],
  "./auth/return-target": ["returnTarget"],
  "./auth/device-name": ["nameDevice"],
  "./testing": ["faultyStore", "frameworkContract", "hasAbility", "manualClock", "storeContract"],
};

describe("the public names", () => {
  it.each(Object.entries(PUBLIC))("of %s are known", async (subpath, names) => {
    expect(await namesOf(subpath)).toEqual(names);
  });

  it("are those of every subpath", () => {
    expect(Object.keys(PUBLIC).toSorted()).toEqual(Object.keys(subpaths).toSorted());
  });
});
