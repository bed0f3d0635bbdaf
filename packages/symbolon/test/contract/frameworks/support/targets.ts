/** Every framework the contract runs on. */
import type { Target } from "./app.ts";
import { express4Target, express5Target } from "./express-targets.ts";
import { fetchDirectly, fetchOverSockets } from "./fetch-targets.ts";
import { fastifyTarget } from "./fastify-targets.ts";
import { honoTarget } from "./hono-targets.ts";
import { koaTarget } from "./koa-targets.ts";
import { node1, node2 } from "./node-targets.ts";

export const TARGETS: readonly Target[] = [
  node1,
  node2,
  express4Target,
  express5Target,
  fetchOverSockets,
  fetchDirectly,
  fastifyTarget,
  honoTarget,
  koaTarget,
];
