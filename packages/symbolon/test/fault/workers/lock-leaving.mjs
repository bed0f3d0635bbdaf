/** Takes a lock, says that it has it, and never lets go; there is nothing else to do. */
import { createSessionManager, generateKey } from "symbolon";
import { memoryStore } from "symbolon/stores/memory";

process.stdout.write("ready\n");
const sessions = createSessionManager({ store: memoryStore(), keys: [generateKey()] });
await sessions.lock("a");
process.stdout.write("held\n");
