import { existsSync, readdirSync } from "node:fs";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { publint } from "publint";
import { formatMessage } from "publint/utils";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { PACKAGE, readManifest, ROOT, run, runTool } from "./workspace.ts";

const manifest = readManifest(PACKAGE);
const subpaths = Object.keys(manifest.exports ?? {}).filter((subpath) => subpath !== "./package.json");
const names = subpaths.map((subpath) => `symbolon${subpath.slice(1)}`);

let folder = "";
let tarball = "";
let packed: string[] = [];

/** Packs a folder into the scratch folder; answers the tarball's name and what is in it. */
async function pack(source: URL, ...more: string[]): Promise<{ filename: string; files: { path: string }[] }> {
  const args = ["pack", fileURLToPath(source), "--json", "--pack-destination", folder, ...more];
  const { code, output } = await run("npm", args, folder);
  // Scripts and warnings of npm may print before the answer.
  const start = /^\[$/m.exec(output)?.index ?? -1;
  if (code !== 0 || start === -1) throw new Error(output);
  const text = output.slice(start, output.lastIndexOf("\n]") + 2);
  const [answer] = JSON.parse(text) as { filename: string; files: { path: string }[] }[];
  if (answer === undefined) throw new Error(output);
  return answer;
}

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "symbolon-tarball-"));
  const answer = await pack(PACKAGE);
  tarball = join(folder, answer.filename);
  packed = answer.files.map(({ path }) => path);
  // The tarballs of the dependencies are made here, so that the test needs no registry.
  const dependencies = Object.keys(manifest.dependencies ?? {});
  const tarballs = await Promise.all(
    dependencies.map((name) => pack(new URL(`node_modules/${name}/`, ROOT), "--ignore-scripts")),
  );
  await writeFile(join(folder, "package.json"), JSON.stringify({ name: "consumer", private: true, type: "module" }));
  const files = [tarball, ...tarballs.map(({ filename }) => join(folder, filename))];
  const { code, output } = await run("npm", ["install", "--offline", "--no-audit", "--no-fund", ...files], folder);
  if (code !== 0) throw new Error(output);
}, 120_000);

afterAll(() => rm(folder, { recursive: true, force: true }));

describe("the tarball", () => {
  it("holds the build, its sources, the licence and the readme, and nothing else", () => {
    const others = packed.filter((path) => !/^(?:dist\/.+\.(?:js|d\.ts)(?:\.map)?|src\/.+\.ts)$/.test(path));
    expect(others.toSorted()).toEqual(["LICENSE", "README.md", "package.json"]);
    expect(packed.filter((path) => /(?:^|\/)tests?\/|\.test\.|tsbuildinfo/.test(path))).toEqual([]);
  });

  it("holds for each source its code and types, and no leftovers of sources that are gone", () => {
    const sources = packed.filter((path) => path.startsWith("src/"));
    const built = packed.filter((path) => path.startsWith("dist/") && path.endsWith(".js"));
    const expected = sources.map((path) => path.replace("src/", "dist/").replace(/\.ts$/, ".js"));
    expect(built.toSorted()).toEqual(expected.toSorted());
    expect(expected.filter((path) => !packed.includes(path.replace(/\.js$/, ".d.ts")))).toEqual([]);
  });

  it("satisfies publint", async () => {
    const bytes = await readFile(tarball);
    const { messages, pkg } = await publint({ pack: { tarball: new Uint8Array(bytes).buffer }, strict: true });
    expect(messages.map((message) => formatMessage(message, pkg, { color: false }))).toEqual([]);
  });

  it("satisfies arethetypeswrong for consumers that can load ESM", async () => {
    const args = [tarball, "--profile", "esm-only", "--no-color", "--no-emoji"];
    const { code, output } = await runTool("@arethetypeswrong/cli", "attw", args, folder);
    expect(code, output).toBe(0);
    for (const name of names) expect(output).toContain(`"${name}"`);
  }, 60_000);
});

describe("installed in an empty folder", () => {
  it("brings its three dependencies and nothing else", () => {
    const installed = readdirSync(join(folder, "node_modules")).filter((name) => !name.startsWith("."));
    expect(installed).toEqual(["@standard-schema", "bowser", "jose", "symbolon"]);
    expect(existsSync(join(folder, "node_modules", "symbolon", "node_modules"))).toBe(false);
  });

  it("loads from every subpath", async () => {
    const code = `for (const name of ${JSON.stringify(names)}) console.log(name, Object.keys(await import(name)).length > 0);`;
    const { output } = await run(process.execPath, ["--input-type=module", "-e", code], folder);
    expect(output.trim().split("\n")).toEqual(names.map((name) => `${name} true`));
  });

  it("keeps a session in plain JavaScript", async () => {
    await writeFile(join(folder, "session.js"), SESSION);
    const { code, output } = await run(process.execPath, ["session.js"], folder);
    expect(output).toBe("alice 2 null\n");
    expect(code).toBe(0);
  });

  it("can be required from CommonJS", async () => {
    await writeFile(join(folder, "required.cjs"), REQUIRED);
    const { code, output } = await run(process.execPath, ["required.cjs"], folder);
    expect(code, output).toBe(0);
    expect(output).toContain("function function");
  });

  it.each([
    ["NodeNext", { module: "nodenext", moduleResolution: "nodenext" }],
    ["Bundler", { module: "preserve", moduleResolution: "bundler" }],
  ])(
    "is typed for strict TypeScript under %s resolution, its own declarations checked too",
    async (name, resolution) => {
      const compilerOptions = {
        ...resolution,
        target: "es2022",
        lib: ["es2023"],
        strict: true,
        exactOptionalPropertyTypes: true,
        skipLibCheck: false,
        noEmit: true,
        types: ["node"],
        typeRoots: [fileURLToPath(new URL("node_modules/@types", ROOT))],
      };
      const files = ["consumer.ts", ...(name === "NodeNext" ? ["consumer.cts"] : [])];
      await writeFile(
        join(folder, "consumer.ts"),
        CONSUMER + names.map((from, index) => `import * as all${index} from "${from}";\nvoid all${index};\n`).join(""),
      );
      await writeFile(join(folder, "consumer.cts"), REQUIRING_CONSUMER);
      await writeFile(join(folder, `tsconfig.${name}.json`), JSON.stringify({ compilerOptions, files }));
      const { code, output } = await runTool("typescript", "tsc", ["-p", `tsconfig.${name}.json`], folder);
      expect(output).toBe("");
      expect(code).toBe(0);
    },
    60_000,
  );
});

const SESSION = `
import { createSessionManager, generateKey } from "symbolon";
import { memoryStore } from "symbolon/stores/memory";

const sessions = createSessionManager({ store: memoryStore(), keys: [generateKey()] });
const { token } = await sessions.create({ userId: "alice", data: { visits: 1 } });
const first = await sessions.validate(token);
first.data.visits++;
await first.save();
const second = await sessions.validate(token);
await sessions.revokeAll("alice");
console.log(second.userId, second.data.visits, await sessions.validate(token));
await sessions.close();
`;

const REQUIRED = `
const { createSessionManager } = require("symbolon");
const { memoryStore } = require("symbolon/stores/memory");
console.log(typeof createSessionManager, typeof memoryStore);
`;

const CONSUMER = `
import { createSessionManager, generateKey, type Session, type SessionManager, type Store } from "symbolon";
import { memoryStore } from "symbolon/stores/memory";
import { withSession } from "symbolon/frameworks/fetch";

interface Data { visits?: number; cart?: string[] }
const store: Store = memoryStore();
export const sessions: SessionManager<Data> = createSessionManager<Data>({ store, keys: [generateKey()] });
export const handler = withSession(sessions, (_request, session: Session<Data>) => {
  session.data.visits = (session.data.visits ?? 0) + 1;
  return new Response(String(session.data.visits));
});
// @ts-expect-error The data is typed: this must not compile.
void sessions.create({ data: { visits: "one" } });
`;

const REQUIRING_CONSUMER = `
import symbolon = require("symbolon");
export const key: string = symbolon.generateKey();
`;
