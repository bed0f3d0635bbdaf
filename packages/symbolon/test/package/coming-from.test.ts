/** docs/coming-from.md names tests as proof: each has to exist. */
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";

const tests = join(import.meta.dirname, "..");
const page = readFileSync(join(tests, "../../../docs/coming-from.md"), "utf8");

/** What is wrong with the proof of one row; null when it holds. */
function whatIsWrong(proof: string): string | null {
  if (proof === "planned" || /^refused: .{10,}/.test(proof)) return null;
  const named = /^`([\w./-]+\.test\.ts)`: (.+)$/.exec(proof);
  if (named === null) return "is neither a test, nor planned, nor refused with a reason";
  const [, file = "", title = ""] = named;
  const path = join(tests, file);
  if (!existsSync(path)) return `names ${file}, which does not exist`;
  const source = readFileSync(path, "utf8");
  return ["it", "test"].some((word) => source.includes(`${word}("${title}"`))
    ? null
    : `names a test that ${file} does not have: ${title}`;
}

const rows = page
  .split("\n")
  .filter((line) => line.startsWith("|"))
  .map((line) =>
    line
      .split("|")
      .slice(1, -1)
      .map((cell) => cell.trim()),
  )
  .filter(([first]) => first !== undefined && !/^-+$/.test(first) && first !== "capability" && first !== "there");

describe("docs/coming-from.md", () => {
  it("has a row for what each of the five systems offers", () => {
    expect(rows.length).toBeGreaterThan(100);
    for (const system of ["apicrud", "plantdb", "sanic-cookies", "The gist", "pithos"]) {
      expect(page).toContain(`\n## ${system}\n`);
    }
  });

  it("names only tests that exist, and gives a reason for what is refused", () => {
    const wrong = rows.flatMap(([what, , proof = ""]) => {
      const fault = whatIsWrong(proof);
      return fault === null ? [] : [`${what}: ${fault}`];
    });
    expect(wrong).toEqual([]);
  });

  it("notices a test that does not exist", () => {
    expect(whatIsWrong("`behaviour/no-such.test.ts`: does a thing")).toContain("does not exist");
    expect(whatIsWrong("`package/coming-from.test.ts`: does a thing")).toContain("does not have");
    expect(whatIsWrong("refused:")).not.toBeNull();
    expect(whatIsWrong("")).not.toBeNull();
  });
});
