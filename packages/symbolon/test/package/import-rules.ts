/** DESIGN's import rules as a checker of source text; `architecture.test.ts` runs it over `src`. */

/** One import or re-export of a file. */
export interface Import {
  readonly from: string;
  /** What is imported as a value: names, `*` for all, empty when only types (or nothing) are taken. */
  readonly values: readonly string[];
  /** Whether nothing of it is left at run time. */
  readonly typeOnly: boolean;
}

/** What a folder of `src` may import. */
interface Rule {
  readonly why: string;
  /** Paths of `src` (a file, a folder ending in `/`, or files by a prefix ending in `-`) that may be imported as values. */
  readonly values: readonly string[];
  /** Paths that may be imported as types only. */
  readonly types?: readonly string[];
  /** Names that may be imported as values from a path of `types`. */
  readonly exceptions?: Readonly<Record<string, readonly string[]>>;
  /** Built-in modules: all, types of all, or those listed. */
  readonly builtins?: "all" | "types" | readonly string[];
  /** npm packages of which types may be imported. */
  readonly packageTypes?: readonly string[];
  /** npm packages of which values may be imported, too: `docs/decisions/0002`. */
  readonly packages?: readonly string[];
}

/** Feature tests and constants that a store author needs; each works on any store, so nothing is tied to the engine. */
const STORE_VALUES = {
  "core/store.ts": [
    "TOMBSTONE_MS",
    "canAdmit",
    "canClose",
    "canLock",
    "canPrune",
    "canReplicate",
    "canWarn",
    "hasInvalidations",
    "hasOwnerIndex",
    "hasTenantIndex",
    "isCaching",
    "isTombstone",
  ],
};

/** A case of the binding contract makes its own managers, on stores that it can watch and break, and is its own client. */
const FRAMEWORK_CONTRACT: Rule = {
  why: "the contract of bindings makes managers with createSessionManager, generateKey and memoryStore, and asks over node:http and node:http2; else it imports what testing does",
  values: ["errors.ts", "testing/"],
  types: ["core/", "auth/guards.ts", "http/index.ts", "crypto/keyring.ts", "stores/memory.ts"],
  exceptions: {
    "core/manager.ts": ["createSessionManager"],
    "crypto/keyring.ts": ["generateKey"],
    "stores/memory.ts": ["memoryStore"],
  },
  builtins: ["node:assert/strict", "node:http", "node:http2"],
};

const LAYERS = "errors <- crypto <- core <- auth, jwt, http <- frameworks; a layer imports only what is left of it";
const STANDARD_SCHEMA = ["@standard-schema/spec"];

/** The first entry whose key starts a file's path decides. */
const RULES: Readonly<Record<string, Rule>> = {
  "errors.ts": { why: LAYERS, values: [] },
  "crypto/": { why: LAYERS, values: ["errors.ts", "crypto/"], builtins: "all" },
  "core/": {
    why: LAYERS,
    values: ["errors.ts", "crypto/", "core/"],
    builtins: "all",
    packageTypes: STANDARD_SCHEMA,
  },
  "auth/device-name.ts": {
    why: `${LAYERS}; the parser of user agents is imported here alone`,
    values: ["errors.ts", "crypto/", "core/", "auth/"],
    builtins: "all",
    packages: ["bowser"],
  },
  "auth/": { why: LAYERS, values: ["errors.ts", "crypto/", "core/", "auth/"], builtins: "all" },
  "jwt/": {
    why: `${LAYERS}; JOSE is left to a library, imported here alone`,
    values: ["errors.ts", "crypto/", "core/", "jwt/"],
    builtins: "all",
    packages: ["jose"],
  },
  "http/": {
    why: `${LAYERS}; http knows the Web's types only, so no built-in module`,
    values: ["errors.ts", "crypto/", "core/", "http/"],
  },
  "frameworks/shared/": {
    why: "what bindings share imports http/index.ts, auth/guards.ts, errors, types, its own folder and built-in modules",
    values: ["errors.ts", "http/index.ts", "auth/guards.ts", "frameworks/shared/"],
    types: ["core/", "auth/", "http/"],
    builtins: "all",
  },
  "frameworks/": {
    why: "a binding imports http/index.ts, errors, types, and frameworks/shared/; never another binding",
    values: ["errors.ts", "http/index.ts", "frameworks/shared/"],
    types: ["core/", "auth/", "http/"],
    builtins: "types",
  },
  "stores/": {
    why: "a store imports the types and feature tests of core/store.ts, errors and stores/shared/; never another store",
    values: ["errors.ts", "stores/shared/"],
    types: ["core/store.ts"],
    exceptions: STORE_VALUES,
    builtins: "all",
  },
  "testing/framework-contract.ts": FRAMEWORK_CONTRACT,
  "testing/contract/framework-": FRAMEWORK_CONTRACT,
  "testing/": {
    why: "testing imports types of core, the feature tests of core/store.ts, errors, its own folder, node:assert and node:crypto",
    values: ["errors.ts", "testing/"],
    types: ["core/"],
    exceptions: STORE_VALUES,
    builtins: ["node:assert", "node:assert/strict", "node:crypto"],
  },
  "index.ts": {
    why: "index.ts is the public face of errors, crypto, core and http/index.ts, and imports no other part",
    values: ["errors.ts", "crypto/", "core/", "http/index.ts"],
  },
};

/** Says what one file of `src` imports against the rules, in sentences; `path` is relative to `src`. */
export function violationsOf(path: string, source: string): string[] {
  const rule = Object.entries(RULES).find(([prefix]) => isUnder(path, prefix))?.[1];
  if (rule === undefined) return [`${path} is in no folder that the import rules know; add a rule for it.`];
  return importsOf(source).flatMap((found) => {
    const problem = problemOf(path, found, rule);
    return problem === null ? [] : [`${path} imports ${problem}: ${rule.why}.`];
  });
}

/** Reads the imports of a formatted source text: static, re-exported, dynamic, required, and in type positions. */
export function importsOf(source: string): Import[] {
  const code = withoutComments(source);
  const found: Import[] = [];
  for (const [, keyword, clause = "", from = ""] of code.matchAll(STATIC)) {
    found.push({ from, ...parseClause(clause.trim(), keyword === "import") });
  }
  for (const [, from = ""] of code.matchAll(BARE)) found.push({ from, values: ["*"], typeOnly: false });
  for (const [, call = "", from = ""] of code.matchAll(CALL)) {
    // `typeof import("x")` and `import("x").Name` look alike to a reader of text: counted as values, use `import type`.
    found.push({ from: from === "" ? `(computed) ${call}` : from, values: ["*"], typeOnly: false });
  }
  return found;
}

// The formatter puts every statement on a line of its own, so a keyword at the start of a line is the statement's.
const STATIC = /^(import|export)\b([^"'`;()=]*?)\bfrom\s*["']([^"']+)["']/gm;
const BARE = /^import\s*["']([^"']+)["']/gm;
const CALL = /(?<![.\w$])(import|require|createRequire|getBuiltinModule)\s*\(\s*(?:["'`]([^"'`]+)["'`])?/g;

function withoutComments(source: string): string {
  return source.replaceAll(/^[ \t]*\/\*[\s\S]*?\*\//gm, "").replaceAll(/^[ \t]*\/\/.*$/gm, "");
}

function parseClause(clause: string, isImport: boolean): { values: string[]; typeOnly: boolean } {
  if (/^type\b\s*[^\s,]/.test(clause)) return { values: [], typeOnly: true };
  const braces = /\{([\s\S]*)\}/.exec(clause);
  const named = (braces?.[1] ?? "").split(",").map((name) => name.trim());
  const values = named.filter((name) => name !== "" && !name.startsWith("type ")).map((name) => firstWord(name));
  const outside = clause
    .replace(braces?.[0] ?? "", "")
    .replaceAll(",", "")
    .trim();
  if (outside.startsWith("*")) values.push("*");
  else if (outside !== "" && isImport) values.push("default");
  // With `verbatimModuleSyntax`, `import { type A }` still loads the module: only `import type` leaves nothing behind.
  return { values, typeOnly: false };
}

function firstWord(name: string): string {
  return name.split(/\s/)[0] ?? name;
}

function problemOf(path: string, { from, values, typeOnly }: Import, rule: Rule): string | null {
  if (from.startsWith("node:")) {
    const isAllowed =
      rule.builtins === "all" || (rule.builtins === "types" ? typeOnly : (rule.builtins ?? []).includes(from));
    return isAllowed ? null : `the built-in ${from}`;
  }
  if (!from.startsWith(".")) {
    if ((rule.packages ?? []).includes(from)) return null;
    if (!(rule.packageTypes ?? []).includes(from)) return `the package ${from}`;
    return typeOnly ? null : `values of the package ${from} (write import type)`;
  }
  const target = resolve(path, from);
  const isOwnSibling = rule.values.some((allowed) => isUnder(target, allowed));
  if (isOwnSibling || target === path) return null;
  if (!(rule.types ?? []).some((allowed) => isUnder(target, allowed))) return target;
  const refused = values.filter((name) => !(rule.exceptions?.[target] ?? []).includes(name));
  if (refused.length > 0) return `${refused.join(", ")} of ${target} as a value (types only)`;
  return typeOnly || values.length > 0 ? null : `${target} at run time for types alone (write import type)`;
}

function isUnder(path: string, allowed: string): boolean {
  return /[/-]$/.test(allowed) ? path.startsWith(allowed) : path === allowed;
}

function resolve(importer: string, from: string): string {
  return new URL(from, `file:///${importer}`).pathname.slice(1);
}
