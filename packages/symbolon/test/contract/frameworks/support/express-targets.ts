/** The contract's application on Express 4 and 5. */
import express5, { type Express, type NextFunction, type Request, type Response } from "express";
import express4 from "express4";
import * as binding from "symbolon/frameworks/express";
import { ALL, exchangeOf, type Guarding, type GuardMakers, type Opener, refusedOf, type SocketTarget } from "./app.ts";
import type { Listener } from "./node-targets.ts";
import { respondVia, serveHttp1 } from "./node-targets.ts";

export type MakeExpress = () => Express;
export const makeExpress5: MakeExpress = () => quiet(express5());
export const makeExpress4: MakeExpress = () => quiet(express4());

/** Express writes errors to the console, save under test. */
function quiet(app: Express): Express {
  app.set("env", "test");
  return app;
}

export function listenerOf(app: Express): Listener {
  return app as unknown as Listener;
}

/** Express 4 leaves the rejections of a handler to the application; 5 takes them. */
export function catching(
  handler: (request: Request, response: Response) => void | Promise<void>,
): (request: Request, response: Response, next: NextFunction) => void {
  return (request, response, next) => {
    new Promise<void>((resolve) => {
      resolve(handler(request, response));
    }).catch(next);
  };
}

const GUARDS: GuardMakers<
  binding.GuardOptions<Request, Response>,
  binding.GuardMiddleware<Request, Response>
> = binding;

/** A guard as middleware; where there are several managers, it has to be told whose session to look at. */
function guardOf(
  { choose, onRefused }: Guarding,
  managers: readonly [Opener, ...Opener[]],
): binding.GuardMiddleware<Request, Response> {
  const innermost = managers.length > 1 ? managers.at(-1) : undefined;
  return choose(GUARDS, {
    ...(innermost !== undefined && { sessions: innermost }),
    ...(onRefused !== undefined && {
      onRefused: (request, response, refusal) =>
        onRefused(refusal, refusedOf(request, managers[0], respondVia(response))),
    }),
  });
}

function expressTarget(
  name: string,
  make: MakeExpress,
  adopt: (handler: typeof catching) => typeof catching,
): SocketTarget {
  return {
    name,
    abilities: ["http1", ...ALL],
    serve(managers, handler, guarding, options = []) {
      const app = make();
      const reported: unknown[] = [];
      for (const [at, sessions] of managers.entries()) app.use(binding.expressSession(sessions, options[at]));
      if (guarding !== undefined) app.use(guardOf(guarding, managers));
      app.use(
        adopt(catching)((request, response) =>
          handler(exchangeOf(request, request.url, managers[0], respondVia(response))),
        ),
      );
      app.use((error: unknown, _request: Request, _response: Response, next: NextFunction) => {
        reported.push(error);
        next(error);
      });
      return serveHttp1(listenerOf(app), reported);
    },
  };
}

export const express4Target: SocketTarget = expressTarget("Express 4", makeExpress4, (catches) => catches);
export const express5Target: SocketTarget = expressTarget(
  "Express 5",
  makeExpress5,
  () => (handler) => (request, response) => handler(request, response),
);
