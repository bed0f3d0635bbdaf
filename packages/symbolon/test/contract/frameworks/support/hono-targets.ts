/** The contract's application on Hono, on Node. */
import { getRequestListener } from "@hono/node-server";
import { type Context, Hono } from "hono";
import * as binding from "symbolon/frameworks/hono";
import { ALL, type GuardMakers, type Guarding, type Opener, type SocketTarget } from "./app.ts";
import { answerOf } from "./fetch-targets.ts";
import { serveHttp1 } from "./node-targets.ts";

const GUARDS: GuardMakers<binding.GuardOptions, binding.HonoMiddleware> = binding;

function guardOf({ choose, onRefused }: Guarding, managers: readonly [Opener, ...Opener[]]): binding.HonoMiddleware {
  const innermost = managers.length > 1 ? managers.at(-1) : undefined;
  return choose(GUARDS, {
    ...(innermost !== undefined && { sessions: innermost }),
    ...(onRefused !== undefined && {
      onRefused: (context, refusal) =>
        answerOf((exchange) => onRefused(refusal, exchange), context.req.raw, managers[0]),
    }),
  });
}

export const honoTarget: SocketTarget = {
  name: "Hono on Node",
  abilities: ["http1", ...ALL],
  serve(managers, handler, guarding, options = []) {
    const reported: unknown[] = [];
    const app = new Hono();
    for (const [at, sessions] of managers.entries()) app.use(binding.honoSession(sessions, options[at]));
    if (guarding !== undefined) app.use(guardOf(guarding, managers));
    app.all("*", (context: Context) => answerOf(handler, context.req.raw, managers[0]));
    app.onError((error, context) => {
      reported.push(error);
      return context.text("Internal Server Error", 500);
    });
    const listener = getRequestListener(app.fetch, { overrideGlobalObjects: false });
    return serveHttp1((request, response) => void listener(request, response), reported);
  },
};
