import { execFileSync } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import * as errors from "../../src/errors.ts";
import { ROOT } from "./workspace.ts";

const SELF = "packages/symbolon/test/package/hygiene.test.ts";

/** What git tracks, or would: ignored files are nobody's. Without git there is nothing to say. */
function trackedFiles(): string[] {
  if (!existsSync(new URL(".git", ROOT))) return [];
  const list = execFileSync("git", ["ls-files", "-z", "--cached", "--others", "--exclude-standard"], {
    cwd: ROOT,
    encoding: "utf8",
  });
  return list.split("\0").filter((file) => file !== "" && existsSync(new URL(file, ROOT)));
}

const tracked = trackedFiles();
const texts = tracked.filter((file) =>
  /\.(?:[cm]?[jt]sx?|json|md|ya?ml|html|css|sh)$|(?:^|\/)(?:run|\.\w+rc)$/.test(file),
);

/** Every line of the files that matches, as `file:line: text`. */
function find(pattern: RegExp, files: readonly string[]): string[] {
  return files.flatMap((file) =>
    readFileSync(new URL(file, ROOT), "utf8")
      .split("\n")
      .flatMap((line, index) => (pattern.test(line) ? [`${file}:${index + 1}: ${line.trim()}`] : [])),
  );
}

const sources = texts.filter((file) => /^packages\/[\w-]+\/src\/.*\.ts$/.test(file));
const tests = texts.filter((file) => /^packages\/[\w-]+\/test\/.*\.ts$/.test(file) && file !== SELF);

describe.skipIf(tracked.length === 0)("the repository (not checked outside a git checkout)", () => {
  it("has a lock that names no registry", () => {
    expect(find(/"resolved": "[a-z+]+:/, ["package-lock.json"])).toEqual([]);
  });

  it("has no type escapes in its source", () => {
    expect(find(/[:<(|&,]\s*any\b\s*[,;)>|&=[\]{}]|\bas any\b|@ts-(?:ignore|nocheck|expect-error)/, sources)).toEqual(
      [],
    );
    expect(find(/\bas unknown as\b/, sources)).toEqual([]);
  });

  it("runs all its tests: none alone, none put off, none skipped without a reason beside it", () => {
    expect(find(/\b(?:it|test|describe)(?:\.\w+)*\.(?:only|todo|fails)\b/, tests)).toEqual([]);
    expect(find(/\b(?:it|test|describe)(?:\.\w+)*\.skip\b(?!.*\/\/ skipped: )/, tests)).toEqual([]);
    expect(find(/\b(?:context|ctx|task)\.skip\(\s*\)/, tests)).toEqual([]);
  });

  it("puts nothing off in comments", () => {
    const written = texts.filter(
      (file) => file !== "package-lock.json" && file !== SELF && !file.includes("/vectors/"),
    );
    expect(find(/\b(?:TODO|FIXME|XXX|HACK)\b/, written)).toEqual([]);
  });

  it("names no place of somebody's machine", () => {
    const folders = ["home", "Users", "work", "root"].join("|");
    const places = new RegExp(`(?:^|[\\s"'\`(=:])(?:/(?:${folders})/[\\w.-]+|[A-Z]:\\\\(?:${folders})\\\\)`);
    expect(find(places, texts)).toEqual([]);
  });
});

interface Row {
  readonly code: string;
  readonly name: string;
  readonly status: number;
  readonly retryable: boolean;
}

function inOrder(rows: readonly Row[]): Row[] {
  return rows.toSorted((a, b) => a.code.localeCompare(b.code));
}

function thrown(): Row[] {
  const classes: unknown[] = Object.values(errors);
  return classes.flatMap((value): Row[] => {
    if (typeof value !== "function" || !(value.prototype instanceof errors.SymbolonError)) return [];
    const { code, name, status, retryable } = new (value as new (...texts: string[]) => errors.SymbolonError)("a", "b");
    return [{ code, name, status, retryable }];
  });
}

describe("docs/errors.md", () => {
  const page = readFileSync(new URL("docs/errors.md", ROOT), "utf8");
  const documented = page.split("\n").flatMap((line): Row[] => {
    const [, code, name, , status, retry] = line.split("|").map((cell) => cell.trim().replaceAll("`", ""));
    if (code === undefined || !code.startsWith("ERR_")) return [];
    return [{ code, name: name ?? "", status: Number(status), retryable: retry === "yes" }];
  });

  it("says of every error class what the class says of itself", () => {
    expect(inOrder(documented)).toEqual(inOrder(thrown()));
  });

  it("lists every code that the types promise", () => {
    const source = readFileSync(new URL("packages/symbolon/src/errors.ts", ROOT), "utf8");
    const union = /type SymbolonErrorCode =([^;]*);/.exec(source)?.[1] ?? "";
    const codes = [...union.matchAll(/"(\w+)"/g)].map(([, code = ""]) => code);
    expect(documented.map(({ code }) => code).toSorted()).toEqual(codes.toSorted());
  });
});
