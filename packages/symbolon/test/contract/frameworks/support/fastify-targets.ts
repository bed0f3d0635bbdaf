/** The contract's application on Fastify. */
import type { IncomingMessage, ServerResponse } from "node:http";
import { PassThrough } from "node:stream";
import { fastify, type FastifyBaseLogger, type FastifyInstance, type FastifyReply, type FastifyRequest } from "fastify";
import * as binding from "symbolon/frameworks/fastify";
import {
  ALL,
  exchangeOf,
  type GuardMakers,
  type Guarding,
  type Opener,
  refusedOf,
  type Respond,
  type SocketTarget,
} from "./app.ts";
import { serveHttp1 } from "./node-targets.ts";
import { streamOf } from "./streams.ts";

const GUARDS: GuardMakers<binding.GuardOptions, binding.FastifyHook> = binding;

export function respondVia(reply: FastifyReply): Respond {
  return {
    send(status, body, headers = {}) {
      void reply
        .code(status)
        .headers(headers)
        .send(body ?? null);
    },
    stream(headers = {}) {
      const stream = new PassThrough();
      void reply.headers(headers).send(stream);
      return streamOf(stream);
    },
  };
}

const nothing = (): void => {};

/** Takes the place of the application's log. */
function loggerOf(reported: unknown[]): FastifyBaseLogger {
  const logger = { level: "error", trace: nothing, debug: nothing, info: nothing, warn: nothing, silent: nothing };
  const error = (thrown: unknown): void => void reported.push(thrown);
  const made: FastifyBaseLogger = { ...logger, error, fatal: error, child: () => made };
  return made;
}

/** Bodies come as they are: the contract's application parses none. */
export function makeFastify(reported: unknown[]): FastifyInstance {
  const app = fastify({ exposeHeadRoutes: false, disableRequestLogging: true, loggerInstance: loggerOf(reported) });
  for (const method of ["PURGE", "PROPFIND"]) app.addHttpMethod(method);
  app.removeAllContentTypeParsers();
  app.addContentTypeParser("*", (_request, payload, done) => done(null, payload));
  app.setErrorHandler((error, _request, reply) => {
    reported.push(error);
    void reply.send(error);
  });
  return app;
}

function guardOf({ choose, onRefused }: Guarding, managers: readonly [Opener, ...Opener[]]): binding.FastifyHook {
  const innermost = managers.length > 1 ? managers.at(-1) : undefined;
  return choose(GUARDS, {
    ...(innermost !== undefined && { sessions: innermost }),
    ...(onRefused !== undefined && {
      onRefused: ([request, reply], refusal) =>
        onRefused(refusal, refusedOf(request, managers[0], respondVia(reply as unknown as FastifyReply))),
    }),
  });
}

export const fastifyTarget: SocketTarget = {
  name: "Fastify",
  abilities: ["http1", ...ALL],
  async serve(managers, handler, guarding, options = []) {
    const reported: unknown[] = [];
    const app = makeFastify(reported);
    for (const [at, sessions] of managers.entries()) await app.register(binding.fastifySession(sessions, options[at]));
    const preHandler = guarding === undefined ? [] : [guardOf(guarding, managers)];
    const answer = async (request: FastifyRequest, reply: FastifyReply): Promise<unknown> => {
      await handler(exchangeOf(request, request.url, managers[0], respondVia(reply)));
      return reply;
    };
    app.all("*", { preHandler }, answer);
    await app.ready();
    const served = await serveHttp1(
      (request, response) => app.routing(request as IncomingMessage, response as ServerResponse),
      reported,
    );
    return {
      ...served,
      async close() {
        await served.close();
        await app.close();
      },
    };
  },
};
