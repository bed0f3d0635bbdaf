/** `npm run servers`: starts the servers, says how to use them in another shell, and stops them when it is told to end. */
import { type ServerName, startServers, variableOf } from "./start-servers.ts";

const servers = await startServers();
for (const [name, url] of Object.entries(servers.urls)) {
  if (url !== null) console.log(`export ${variableOf(name as ServerName)}=${url}`);
}
for (const line of servers.missing) console.error(line);
for (const signal of ["SIGINT", "SIGTERM"] as const) {
  process.once(signal, () => void servers.stop());
}
console.log("# Ctrl-C stops them.");
