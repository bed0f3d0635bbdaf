/** An audit log: what happens to sessions, one line of JSON each, in a file that may be rotated. */
import { mkdtempSync, readFileSync, renameSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createSessionManager, generateKey } from "symbolon";
import { auditLog, ndjsonSink } from "symbolon/auth/audit-log";
import { withSession } from "symbolon/frameworks/fetch";
import { memoryStore } from "symbolon/stores/memory";

const folder = mkdtempSync(join(tmpdir(), "symbolon-example-"));
const file = join(folder, "audit.ndjson");

const sessions = createSessionManager({ store: memoryStore(), keys: [generateKey()] });
const sink = ndjsonSink(file);
const stop = auditLog(sessions, sink);

const handle = withSession(sessions, async (_request, session) => {
  await session.login("ada");
  return new Response("Hello");
});

// A page of another site sends the form: nobody is logged in, and the log says so.
const url = "https://app.example/login";
await handle(new Request(url, { method: "POST", headers: { "Sec-Fetch-Site": "cross-site" } }));
const answer = await handle(new Request(url, { method: "POST", headers: { "Sec-Fetch-Site": "same-origin" } }));

// What rotates logs renames the file, and then says so: process.on("SIGHUP", () => void sink.reopen())
renameSync(file, `${file}.1`);
await sink.reopen();

await sessions.revokeAll("ada", { reason: "password-reset" });
stop();
await sink.close(); // Before the process ends, so that the last lines are written.

function show(path: string) {
  console.log(`${path.slice(folder.length + 1)}:`);
  for (const line of readFileSync(path, "utf8").trim().split("\n")) {
    const { type, userId, reason } = JSON.parse(line) as Record<string, string | null>;
    console.log(`  ${type}: ${userId ?? "nobody"}, ${reason ?? "no reason"}`);
  }
}

show(`${file}.1`);
show(file);
const token = /=(s1_[\w-]+)/.exec(answer.headers.getSetCookie()[0] ?? "")?.[1] ?? "none";
console.log(`The token is in the log: ${readFileSync(`${file}.1`, "utf8").includes(token)}`);
rmSync(folder, { recursive: true });
await sessions.close();
