/** Every framework the tests of bindings run on. */
import type { SocketTarget, Target } from "./app.ts";
import { express4Target, express5Target } from "./express-targets.ts";
import { fetchDirectly, fetchOverSockets } from "./fetch-targets.ts";
import { fastifyTarget } from "./fastify-targets.ts";
import { honoTarget } from "./hono-targets.ts";
import { koaTarget } from "./koa-targets.ts";
import { node1, node2 } from "./node-targets.ts";

/** Those that the published contract is run on: they listen. */
export const SOCKET_TARGETS: readonly SocketTarget[] = [
  node1,
  node2,
  express4Target,
  express5Target,
  fetchOverSockets,
  fastifyTarget,
  honoTarget,
  koaTarget,
];

export const TARGETS: readonly Target[] = [...SOCKET_TARGETS, fetchDirectly];
