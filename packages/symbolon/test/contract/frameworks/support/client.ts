/** The clients of the published contract, and what servers of the tests share. */
import http from "node:http";
import type { AddressInfo, Server } from "node:net";
import { deferred } from "../../../../dist/testing/contract/framework-client.js";

export {
  type Answer,
  type Asking,
  askHttp1,
  askHttp2,
  type Client,
  collect,
  type Collector,
  type Deferred,
  deferred,
  http1Client,
  http2Client,
  type Question,
} from "../../../../dist/testing/contract/framework-client.js";

/** Listens on a free port of the loopback interface. */
export async function listen(server: Server): Promise<number> {
  const listening = deferred();
  server.listen(0, "127.0.0.1", () => listening.resolve());
  await listening.promise;
  return (server.address() as AddressInfo).port;
}

export async function closeServer(server: Server): Promise<void> {
  const closed = deferred();
  server.close(() => closed.resolve());
  if (server instanceof http.Server) server.closeAllConnections();
  await closed.promise;
}
