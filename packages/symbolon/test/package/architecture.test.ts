import { readdirSync, readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { importsOf, violationsOf } from "./import-rules.ts";

const src = new URL("../../src/", import.meta.url);
const files = readdirSync(src, { recursive: true, encoding: "utf8" })
  .map((file) => file.replaceAll("\\", "/"))
  .filter((file) => file.endsWith(".ts"));

describe("the source", () => {
  it("follows the import rules", () => {
    const violations = files.flatMap((file) => violationsOf(file, readFileSync(new URL(file, src), "utf8")));
    expect(violations).toEqual([]);
  });

  it("is seen by the checker in full", () => {
    const found = files.flatMap((file) => importsOf(readFileSync(new URL(file, src), "utf8")));
    const written = files.reduce((sum, file) => {
      const text = readFileSync(new URL(file, src), "utf8");
      return sum + (text.match(/^(?:import|\} from|export .* from)\b/gm)?.length ?? 0);
    }, 0);
    expect(files.length).toBeGreaterThan(30);
    expect(found.length).toBeGreaterThan(60);
    expect(found.length).toBeLessThanOrEqual(written);
  });

  it("keeps logic out of index.ts", () => {
    const statements = readFileSync(new URL("index.ts", src), "utf8")
      .replaceAll(/^[ \t]*\/\*[\s\S]*?\*\//gm, "")
      .split(";")
      .map((statement) => statement.trim())
      .filter((statement) => statement !== "");
    for (const statement of statements) expect(statement).toMatch(/^export [^=]* from "[^"]+"$/);
  });
});

describe("the checker", () => {
  it.each<[path: string, source: string, complaint: RegExp]>([
    ["errors.ts", `import { Engine } from "./core/engine.ts";`, /errors <- crypto/],
    ["crypto/seal.ts", `import type { Record } from "../core/record.ts";`, /core\/record\.ts/],
    ["core/engine.ts", `import { openSession } from "../http/index.ts";`, /http\/index\.ts/],
    ["core/engine.ts", `export { memoryStore } from "../stores/memory.ts";`, /stores\/memory\.ts/],
    ["core/data.ts", `import { z } from "zod";`, /the package zod/],
    ["core/data.ts", `import { StandardSchemaV1 } from "@standard-schema/spec";`, /import type/],
    ["core/data.ts", `const zod = await import("zod");`, /the package zod/],
    ["core/data.ts", `const zod = await import(name);`, /\(computed\) import/],
    ["core/data.ts", `const { z } = require("zod");`, /the package zod/],
    ["auth/login.ts", `import { openSession } from "../http/index.ts";`, /http\/index\.ts/],
    ["auth/login.ts", `import { parse } from "bowser";`, /the package bowser/],
    ["auth/device-name.ts", `import { z } from "zod";`, /the package zod/],
    ["http/cookie.ts", `import { Buffer } from "node:buffer";`, /built-in node:buffer/],
    ["http/cookie.ts", `import "../frameworks/node.ts";`, /frameworks\/node\.ts/],
    ["stores/redis.ts", `import { Engine } from "../core/engine.ts";`, /core\/engine\.ts/],
    ["stores/redis.ts", `import type { Snapshot } from "../core/record.ts";`, /core\/record\.ts/],
    ["stores/redis.ts", `import { memoryStore } from "./memory.ts";`, /never another store/],
    [
      "stores/redis.ts",
      `import { createStore, isTombstone } from "../core/store.ts";`,
      /createStore of core\/store\.ts/,
    ],
    ["stores/redis.ts", `import { type Store } from "../core/store.ts";`, /write import type/],
    ["stores/redis.ts", `import * as contract from "../core/store.ts";`, /\* of core\/store\.ts/],
    ["stores/redis.ts", `import Redis from "ioredis";`, /the package ioredis/],
    ["frameworks/koa.ts", `import { openSession } from "../http/open-session.ts";`, /as a value/],
    ["frameworks/koa.ts", `import { engineOf } from "../core/manager.ts";`, /engineOf of core\/manager\.ts/],
    ["frameworks/koa.ts", `import type { WithSession } from "./express.ts";`, /never another binding/],
    ["frameworks/koa.ts", `import { isIP } from "node:net";`, /built-in node:net/],
    ["frameworks/koa.ts", `import type { Context } from "koa";`, /the package koa/],
    ["testing/index.ts", `import { createSessionManager } from "../core/manager.ts";`, /types of core/],
    ["testing/index.ts", `import { readFileSync } from "node:fs";`, /node:assert/],
    ["testing/manual-clock.ts", `import { memoryStore } from "../stores/memory.ts";`, /stores\/memory\.ts/],
    ["testing/contract/frameworks.ts", `import http from "node:http";`, /built-in node:http/],
    [
      "testing/contract/framework-stage.ts",
      `import { createSessionManager, engineOf } from "../../core/manager.ts";`,
      /imports engineOf of core\/manager\.ts as a value/,
    ],
    ["testing/contract/framework-stage.ts", `import { withSession } from "../../frameworks/node.ts";`, /node\.ts/],
    ["index.ts", `export { memoryStore } from "./stores/memory.ts";`, /public face/],
    ["helpers/strings.ts", ``, /no folder that the import rules know/],
    [
      "http/cookie.ts",
      `/** Text. */\nimport {\n  a,\n  type B,\n} from "../frameworks/node.ts";`,
      /frameworks\/node\.ts/,
    ],
  ])("refuses in %s: %s", (path, source, complaint) => {
    const violations = violationsOf(path, source);
    expect(violations).toHaveLength(1);
    expect(violations[0]).toMatch(complaint);
  });

  it.each<[path: string, source: string]>([
    ["crypto/seal.ts", `import { createCipheriv } from "node:crypto";\nimport { open } from "./derive.ts";`],
    ["core/options.ts", `import type { StandardSchemaV1 } from "@standard-schema/spec";`],
    ["auth/device-name.ts", `import { parse } from "bowser";\nimport { now } from "../core/clock.ts";`],
    ["stores/redis.ts", `import { isTombstone, type Store, TOMBSTONE_MS } from "../core/store.ts";`],
    ["stores/redis.ts", `import type { Store } from "../core/store.ts";\nimport { OptionsError } from "../errors.ts";`],
    ["frameworks/koa.ts", `import type { Session } from "../core/session.ts";`],
    ["frameworks/node.ts", `import type { ServerResponse } from "node:http";`],
    ["frameworks/koa.ts", `export { sessionOf } from "../http/index.ts";\nimport { head } from "./shared/head.ts";`],
    ["http/cookie.ts", `/**\n * @example\n * import { createServer } from "node:http";\n */\n// import x from "koa";`],
    ["testing/index.ts", `import assert from "node:assert/strict";\nexport * from "./manual-clock.ts";`],
    [
      "testing/contract/framework-stage.ts",
      `import http2 from "node:http2";\nimport { createSessionManager } from "../../core/manager.ts";`,
    ],
    ["testing/framework-contract.ts", `import { type MemoryStore, memoryStore } from "../stores/memory.ts";`],
  ])("accepts in %s: %s", (path, source) => {
    expect(violationsOf(path, source)).toEqual([]);
  });

  it("tells imports of types from imports of values", () => {
    expect(importsOf(`import type { A } from "a";`)).toEqual([{ from: "a", values: [], typeOnly: true }]);
    expect(importsOf(`export type * from "a";`)).toEqual([{ from: "a", values: [], typeOnly: true }]);
    expect(importsOf(`import b, { type A, c as d } from "a";`)).toEqual([
      { from: "a", values: ["c", "default"], typeOnly: false },
    ]);
    expect(importsOf(`export * from "a";`)).toEqual([{ from: "a", values: ["*"], typeOnly: false }]);
    expect(importsOf(`import type from "a";`)).toEqual([{ from: "a", values: ["default"], typeOnly: false }]);
  });
});
