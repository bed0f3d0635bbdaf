/** Puts the application together: what every request meets, in this order, and the routes. */
import express, { type ErrorRequestHandler, type Express, type RequestHandler, Router } from "express";
import { isSymbolonError } from "symbolon";
import { expressSession } from "symbolon/frameworks/express";
import { sendPage, sendProblem } from "./answers.ts";
import { tellWhyEnded } from "./ended.ts";
import { aboutPage, endedPage } from "./pages/plain.ts";
import { accountRoutes } from "./routes/account.ts";
import { adminRoutes } from "./routes/admin.ts";
import { deviceRoutes } from "./routes/devices.ts";
import { loginRoutes } from "./routes/login.ts";
import { signupRoutes } from "./routes/signup.ts";
import { startRoutes } from "./routes/start.ts";
import type { Services } from "./services.ts";
import { ICON, STYLE } from "./style.ts";

const PAGE_HEADERS = {
  "Content-Security-Policy":
    "default-src 'none'; style-src 'self'; img-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
  "Referrer-Policy": "same-origin",
  "X-Content-Type-Options": "nosniff",
};

/** Makes the application. `onlyHost` is the host it answers to; null where a proxy sees to that. */
export function createApp(services: Services, onlyHost: string | null): Express {
  const { sessions } = services;
  const app = express();
  app.disable("x-powered-by");
  app.use((_request, response, next) => {
    response.set(PAGE_HEADERS);
    next();
  });
  if (onlyHost !== null) app.use(sendToHost(onlyHost));
  app.use(plainRoutes());
  // Before the session: where a browser does not say where a form comes from, the session looks for its field `_csrf`.
  app.use(express.urlencoded({ extended: false, limit: "8kb" }));
  app.use(expressSession(sessions));
  app.use(tellWhyEnded(sessions));
  app.use(startRoutes(services), signupRoutes(services), loginRoutes(services));
  app.use("/account", accountRoutes(services));
  app.use("/devices", deviceRoutes(services));
  app.use("/admin", adminRoutes(services));
  app.use((_request, response) => sendProblem(response, 404, "Page not found", "There is nothing at this address."));
  app.use(answerError);
  return app;
}

/** Forms are taken from one origin only, so whoever comes by another name, such as localhost, is sent there. */
function sendToHost(host: string): RequestHandler {
  return (request, response, next) => {
    if (request.get("Host") === host) return next();
    response.redirect(303, `http://${host}/`);
  };
}

/** What does not touch the session. */
function plainRoutes(): Router {
  const router = Router();
  router.get("/style.css", (_request, response) => void response.type("text/css").send(STYLE));
  router.get("/icon.svg", (_request, response) => void response.type("image/svg+xml").send(ICON));
  router.get("/about", (_request, response) => sendPage(response, aboutPage()));
  router.get("/ended", (_request, response) => sendPage(response, endedPage()));
  return router;
}

/** Errors of the library and of Express name their status. What they say is for the log, not for the visitor. */
const answerError: ErrorRequestHandler = (error: unknown, _request, response, next) => {
  if (response.headersSent) return next(error);
  const named = typeof error === "object" && error !== null && "status" in error ? Number(error.status) : 500;
  const status = named >= 400 && named <= 599 ? named : 500;
  if (status >= 500) console.error(error);
  if (status === 503) response.set("Retry-After", "5");
  const [title, explanation] = explain(error, status);
  sendProblem(response, status, title, explanation);
};

function explain(error: unknown, status: number): readonly [title: string, explanation: string] {
  if (isSymbolonError(error) && error.code === "ERR_CSRF_REFUSED") {
    return ["Not done", "This form may have been sent from another site, so nothing was done. Open the page again."];
  }
  if (status < 500) return ["Not understood", "The server could not make sense of this request."];
  return ["Something went wrong", "Nothing was saved. Please try again in a moment."];
}
