/**
 * Does one piece of work with a file store, and dies before the step of the file system that it is told: by `SIGKILL`,
 * or it stops (`SIGSTOP`), or it never goes on (`hang`, in a thread). It writes half of a file before it dies there.
 * When the work needs fewer steps, it says `survived` and what was answered.
 *
 * Told on standard input, as a line of JSON: `{ root, options, step, how, method, args, repeat }`; bytes are base64
 * texts in `{ "bytes": ... }`. With `repeat` it does an update again and again, and says each version it reached.
 */
import { once } from "node:events";
import fs from "node:fs/promises";
import { syncBuiltinESMExports } from "node:module";
import { isMainThread } from "node:worker_threads";

const say = (line) => new Promise((resolve) => process.stdout.write(`${line}\n`, resolve));
await say("ready");
const [line] = await once(process.stdin, "data");
const { root, options, step = null, how, method, args, repeat } = JSON.parse(String(line), revive);

let steps = 0;
async function takeStep(half) {
  if (++steps !== step) return;
  await half?.();
  await say("dying");
  if (how !== "hang") process.kill(process.pid, how);
  // The signal may need a moment.
  if (how !== "SIGSTOP") await new Promise(() => {});
}

for (const name of ["mkdir", "chmod", "rename", "link", "unlink", "rmdir"]) {
  const real = fs[name];
  fs[name] = async (...given) => {
    await takeStep();
    return real(...given);
  };
}
const { open } = fs;
fs.open = async (path, flags, ...given) => {
  await takeStep();
  const file = await open(path, flags, ...given);
  const writeFile = file.writeFile.bind(file);
  file.writeFile = async (bytes) => {
    await takeStep(() => file.write(bytes.subarray(0, bytes.length / 2)));
    return writeFile(bytes);
  };
  return file;
};
syncBuiltinESMExports();

const { fileStore } = await import("symbolon/stores/file");
const store = fileStore(root, options);
const call = { now: Date.now(), signal: new AbortController().signal };
const answer = await store[method](...args, call);
await say(`survived ${JSON.stringify(answer)}`);

if (repeat) {
  const [key, first, change] = args;
  for (let version = first + 1; ; version++) {
    const answered = await store.update(key, version, change, call);
    await say(answered === "updated" ? version + 1 : answered);
  }
}
if (isMainThread) process.exit(0);

function revive(_name, value) {
  return typeof value?.bytes === "string" ? Buffer.from(value.bytes, "base64") : value;
}
