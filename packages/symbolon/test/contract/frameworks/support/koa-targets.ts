/** The contract's application on Koa. */
import { PassThrough } from "node:stream";
import Koa, { type Context } from "koa";
import * as binding from "symbolon/frameworks/koa";
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
import { deferred } from "./client.ts";
import { serveHttp1 } from "./node-targets.ts";
import { streamOf } from "./streams.ts";

const GUARDS: GuardMakers<binding.GuardOptions, binding.KoaMiddleware> = binding;

/** Koa answers what `ctx.body` is once all middleware is done; so a handler is done when it has answered. */
async function answer(context: Context, handle: (respond: Respond) => unknown): Promise<void> {
  const answered = deferred();
  const respond: Respond = {
    send(status, body = null, headers = {}) {
      context.status = status;
      context.set({ ...headers });
      context.body = body;
      // Koa makes 204 of an empty body.
      if (body === null) context.status = status;
      answered.resolve();
    },
    stream(headers = {}) {
      const stream = new PassThrough();
      context.status = 200;
      context.body = stream;
      context.set({ ...headers });
      answered.resolve();
      return streamOf(stream);
    },
  };
  const run = async (): Promise<void> => {
    await handle(respond);
  };
  let isAnswered = false;
  await Promise.race([
    answered.promise.then(() => {
      isAnswered = true;
    }),
    run().catch((error: unknown) => {
      if (!isAnswered) throw error;
      (context.body as PassThrough).destroy?.(error as Error);
    }),
  ]);
}

function guardOf({ choose, onRefused }: Guarding, managers: readonly [Opener, ...Opener[]]): binding.KoaMiddleware {
  const innermost = managers.length > 1 ? managers.at(-1) : undefined;
  return choose(GUARDS, {
    ...(innermost !== undefined && { sessions: innermost }),
    ...(onRefused !== undefined && {
      onRefused: (context, refusal) =>
        answer(context as unknown as Context, (respond) =>
          onRefused(refusal, refusedOf(context, managers[0], respond)),
        ),
    }),
  });
}

export const makeKoa = (reported: unknown[]): Koa => {
  const app = new Koa();
  app.on("error", (error) => reported.push(error));
  return app;
};

export const koaTarget: SocketTarget = {
  name: "Koa",
  abilities: ["http1", ...ALL],
  serve(managers, handler, guarding, options = []) {
    const reported: unknown[] = [];
    const app = makeKoa(reported);
    for (const [at, sessions] of managers.entries()) app.use(binding.koaSession(sessions, options[at]));
    if (guarding !== undefined) app.use(guardOf(guarding, managers));
    app.use((context) => answer(context, (respond) => handler(exchangeOf(context, context.url, managers[0], respond))));
    const listener = app.callback();
    return serveHttp1((request, response) => void listener(request, response), reported);
  },
};
