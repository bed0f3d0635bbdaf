/** The documents: their code compiles, their links lead somewhere, and what they list is what there is. */
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join, relative } from "node:path";
import { fileURLToPath } from "node:url";
import { describe, expect, it } from "vitest";
import { ROOT, runTool } from "./workspace.ts";

const root = fileURLToPath(ROOT);
const pages = [
  "packages/symbolon/README.md",
  "README.md",
  "ARCHITECTURE.md",
  "CONTRIBUTING.md",
  "SECURITY.md",
  "CHANGELOG.md",
].concat(
  readdirSync(join(root, "docs"), { recursive: true, encoding: "utf8" })
    .filter((file) => file.endsWith(".md"))
    .map((file) => join("docs", file)),
);
const textOf = (page: string): string => readFileSync(join(root, page), "utf8");

/** What the snippets of a page take as given: the reader's own application. */
const GIVEN = `
import type { IncomingMessage, Server } from "node:http";
import type { Duplex } from "node:stream";
import type { NextFunction, Request, Response } from "express";
import type { Session, SessionManager, Store } from "symbolon";
import type { JwtSessionManager } from "symbolon/jwt";

interface Data { cart?: string[]; count: number }
interface User { id: string; roles: string[]; stamp: string; mustChangePassword: boolean }
type Handler = (request: Request, response: Response, next: NextFunction) => void;

declare global {
  const express: typeof import("express");
  const app: import("express").Express;
  const request: Request;
  const response: Response;
  const server: Server;
  const webSockets: {
    handleUpgrade(request: IncomingMessage, socket: Duplex, head: Buffer, done: (webSocket: object) => void): void;
  };
  const greet: (webSocket: object, userId: string) => void;
  const createJwtSessionManager: typeof import("symbolon/jwt").createJwtSessionManager;
  const createSessionManager: typeof import("symbolon").createSessionManager;
  const memoryStore: typeof import("symbolon/stores/memory").memoryStore;
  const sqliteStore: typeof import("symbolon/stores/sqlite").sqliteStore;
  const mirrored: typeof import("symbolon/stores/mirrored").mirrored;
  const expressSession: typeof import("symbolon/frameworks/express").expressSession;
  const sessionOf: typeof import("symbolon/frameworks/express").sessionOf;
  const requireLogin: typeof import("symbolon/frameworks/express").requireLogin;
  const requireRole: typeof import("symbolon/frameworks/express").requireRole;
  const requireFresh: typeof import("symbolon/frameworks/express").requireFresh;
  const tokens: import("symbolon/auth/one-time-tokens").OneTimeTokens;
  const store: Store;
  const primary: Store;
  const copy: Store;
  const myStore: () => Store;
  const test: (name: string, run: () => unknown) => void;
  const keys: string[];
  const id: string;
  const sessions: SessionManager<Data>;
  const jwts: JwtSessionManager<Data>;
  const session: Session<Data>;
  const showAccount: Handler;
  const deleteAccount: Handler;
  const transfer: Handler;
  const mail: (address: string, text: string) => Promise<void>;
  const numberInvoices: (fence: number) => Promise<void>;
  const quote: (cart: string[] | undefined) => Promise<number>;
  const pages: { readonly linkIsOver: string; readonly newPassword: string };
  const users: {
    verify(name: unknown, password: unknown): Promise<User | null>;
    verifyId(userId: string | null, password: unknown): Promise<User | null>;
    takeCode(userId: string, code: unknown): Promise<User | null>;
    stampOf(userId: string): Promise<string | null>;
    setPassword(userId: string | null, password: unknown): Promise<string>;
    setRoles(userId: string, roles: string[]): Promise<void>;
  };
}
`;

/** Node 20, whose types are installed, does not have it. */
const NODE_SQLITE = `
declare module "node:sqlite" {
  export const DatabaseSync: new (path: string) => import("symbolon/stores/sqlite").SqliteClient;
}
`;

const SETTINGS = {
  compilerOptions: {
    target: "es2023",
    lib: ["es2023", "esnext.disposable"],
    module: "nodenext",
    types: ["node"],
    strict: true,
    exactOptionalPropertyTypes: true,
    noUncheckedIndexedAccess: true,
    noEmit: true,
    skipLibCheck: true,
  },
  include: ["*.ts"],
};

/** The TypeScript of a page, block by block, with the line on which each begins. */
function snippetsOf(page: string): { readonly line: number; readonly code: string }[] {
  const text = textOf(page);
  return [...text.matchAll(/^```ts\n([\s\S]*?)^```$/gm)].map(({ 1: code = "", index }) => ({
    line: text.slice(0, index).split("\n").length + 1,
    code,
  }));
}

/** GitHub's name for the anchor of a heading. */
function anchorOf(heading: string): string {
  return heading
    .toLowerCase()
    .replaceAll(/[^\p{L}\p{N} _-]/gu, "")
    .replaceAll(" ", "-");
}

function anchorsOf(page: string): string[] {
  return [...textOf(page).matchAll(/^#+ (.+)$/gm)].map(([, heading = ""]) => anchorOf(heading));
}

describe("the documents", () => {
  it("have no TypeScript that does not compile", async () => {
    // Below the packages, so that imports find them.
    const folder = join(root, "node_modules/.cache/symbolon-docs");
    rmSync(folder, { recursive: true, force: true });
    mkdirSync(folder, { recursive: true });
    writeFileSync(join(folder, "package.json"), JSON.stringify({ type: "module" }));
    writeFileSync(join(folder, "tsconfig.json"), JSON.stringify(SETTINGS));
    writeFileSync(join(folder, "given.d.ts"), GIVEN);
    writeFileSync(join(folder, "node-sqlite.d.ts"), NODE_SQLITE);
    const snippets = pages.flatMap((page) => snippetsOf(page).map((snippet) => ({ page, ...snippet })));
    for (const { page, line, code } of snippets) {
      const name = `${page.replaceAll(/\W+/g, "-")}-line-${line}.ts`;
      writeFileSync(join(folder, name), `${code}\nexport {};\n`);
    }
    expect(snippets.length).toBeGreaterThan(30);
    const { code, output } = await runTool("typescript", "tsc", ["-p", folder, "--pretty", "false"], folder);
    expect(output).toBe("");
    expect(code).toBe(0);
    rmSync(folder, { recursive: true });
  });

  it("link to files and headings that exist", () => {
    const broken = pages.flatMap((page) =>
      [...textOf(page).matchAll(/\]\((?!https?:)([^)#\s]*)(?:#([^)\s]+))?\)/g)].flatMap(([link, path = "", anchor]) => {
        const target = path === "" ? page : relative(root, join(root, dirname(page), path));
        const isThere = existsSync(join(root, target)) && (anchor === undefined || anchorsOf(target).includes(anchor));
        return isThere ? [] : [`${page}: ${link}`];
      }),
    );
    expect(broken).toEqual([]);
  });
});

/** The events of core/events.ts, each with its facts. */
function declaredEvents(): Record<string, string[]> {
  const source = textOf("packages/symbolon/src/core/events.ts").replaceAll(/\/\*[\s\S]*?\*\//g, "");
  const [, body = ""] = /interface SessionEvents \{([\s\S]*?)\n\}/.exec(source) ?? [];
  // Each begins a line of its own, indented by two.
  const declarations = body.split(/^ {2}(?=["\w])/m).filter((text) => text.trim() !== "");
  return Object.fromEntries(
    declarations.map((text): [string, string[]] => {
      const [, name = ""] = /^"?([\w-]+)/.exec(text) ?? [];
      const own = [...text.matchAll(/readonly (\w+):/g)].map(([, fact = ""]) => fact);
      return [name, (text.includes("SessionFacts") ? ["id", "userId", ...own] : own).toSorted()];
    }),
  );
}

describe("docs/operations.md", () => {
  it("lists every event with its facts", () => {
    const rows = textOf("docs/operations.md")
      .split("\n")
      .map((line) => line.split("|").map((cell) => cell.trim()))
      .filter(([, name = "", facts = ""]) => /^`[a-z-]+`$/.test(name) && /^(?:`\w+`(?:, )?)+$/.test(facts));
    const listed = rows.map(([, name = "", facts = ""]): [string, string[]] => [
      name.replaceAll("`", ""),
      facts.replaceAll("`", "").split(", ").toSorted(),
    ]);
    expect(Object.keys(declaredEvents()).length).toBeGreaterThan(20);
    expect(Object.fromEntries(listed)).toEqual(declaredEvents());
  });
});
