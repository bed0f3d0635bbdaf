/** `npm run servers`: starts the servers, says how to use them in another shell, and stops them when it is told to end. */
import { type ServerName, startServers, variableOf } from "./start-servers.ts";

const { urls, missing, stop } = await startServers();
for (const [name, url] of Object.entries(urls)) {
  if (url !== null) console.log(`export ${variableOf(name as ServerName)}=${url}`);
}
for (const line of missing) console.error(line);
for (const signal of ["SIGINT", "SIGTERM"] as const) {
  process.once(signal, () => void stop());
}
console.error("Ctrl-C stops them.");
