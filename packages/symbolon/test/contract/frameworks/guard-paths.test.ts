/** a guard stands before its handler, so that no spelling of a path leads around it. */
import express5, { type NextFunction, type Request, type Response, type Router } from "express";
import express4 from "express4";
import { expressSession, requireLogin } from "symbolon/frameworks/express";
import { describe, expect, it, onTestFinished } from "vitest";
import type { Served } from "./support/app.ts";
import { listenerOf, type MakeExpress, makeExpress4, makeExpress5 } from "./support/express-targets.ts";
import { serveHttp1 } from "./support/node-targets.ts";
import { backstage, COOKIE, HTTPS, OWN_PAGE } from "./support/stage.ts";

interface Version {
  readonly name: string;
  readonly make: MakeExpress;
  readonly router: () => Router;
}

const VERSIONS: readonly Version[] = [
  { name: "Express 4", make: makeExpress4, router: () => express4.Router() },
  { name: "Express 5", make: makeExpress5, router: () => express5.Router() },
];

const PATHS: readonly string[] = [
  "/admin",
  "/ADMIN",
  "/Admin",
  "/admin/",
  "/admin//",
  "//admin",
  "///admin",
  "//admin/",
  "/./admin",
  "/admin/.",
  "/admin/..",
  "/admin/./",
  "/admin/..;/",
  "/public/../admin",
  "/x/%2e%2e/admin",
  "/%61dmin",
  "/%41DMIN",
  "/adm%69n",
  "/%2561dmin",
  "/admin%2f",
  "/admin%2F.",
  "/%2fadmin",
  "/admin%00",
  "/admin%20",
  "/admin%0a",
  "/admin;x=1",
  "/admin?x=1",
  "/admin?/public",
  "/admin%3f",
  "/admin#public",
  "/admin%23",
  "/admin.html",
  "/admin\\",
  "/\\admin",
  "/%ff",
  "/%",
  "/admin/users",
  "/admin//users",
  "/admin/%75sers",
  "/admin/users/",
  "/ADMIN/USERS",
  "/public/admin",
  "/public/admin/users",
  "/publicadmin",
  "http://app.example/admin",
  "http://app.example//admin",
];

const METHODS = ["GET", "HEAD", "POST", "DELETE"] as const;

/** What a header may make of them. Not HEAD: a body that was announced would never come. */
const OVERRIDES = ["GET", "POST", "PUT", "DELETE", "get", "Get", "options", "PURGE", ""];

/** An application with a guarded handler somewhere. */
type Build = (version: Version, secret: (request: Request, response: Response) => void) => ReturnType<MakeExpress>;

/** Guards as applications attach them: to a route or to the router that holds the routes. */
const APPLICATIONS: readonly (readonly [name: string, build: Build])[] = [
  [
    "a route",
    ({ make }, secret) => {
      const app = make();
      app.get("/admin", requireLogin(), secret);
      return app;
    },
  ],
  [
    "a route of all methods",
    ({ make }, secret) => {
      const app = make();
      app.route("/admin").all(requireLogin()).get(secret).post(secret).delete(secret);
      return app;
    },
  ],
  [
    "a route that is sensitive to case and slashes",
    ({ make }, secret) => {
      const app = make();
      app.enable("case sensitive routing");
      app.enable("strict routing");
      app.get("/admin", requireLogin(), secret);
      return app;
    },
  ],
  [
    "a route of a parameter",
    ({ make }, secret) => {
      const app = make();
      app.get("/:page", requireLogin(), secret);
      return app;
    },
  ],
  [
    "a route of a pattern",
    ({ make }, secret) => {
      const app = make();
      app.get(/admin/i, requireLogin(), secret);
      return app;
    },
  ],
  [
    "a handler of all that is left",
    ({ make }, secret) => {
      const app = make();
      app.use(requireLogin(), secret);
      return app;
    },
  ],
  [
    "a handler of a prefix",
    ({ make }, secret) => {
      const app = make();
      app.use("/admin", requireLogin(), secret);
      return app;
    },
  ],
  [
    "a router under a prefix, guarded from outside",
    ({ make, router }, secret) => {
      const app = make();
      const pages = router();
      pages.get("/", secret);
      pages.get("/:page", secret);
      app.use("/admin", requireLogin(), pages);
      return app;
    },
  ],
  [
    "a router that guards itself, under overlapping prefixes",
    ({ make, router }, secret) => {
      const app = make();
      const pages = router();
      pages.use(requireLogin());
      pages.get("/", secret);
      pages.get("/users", secret);
      pages.all("/:page", secret);
      app.use("/public", openRouter(router));
      for (const prefix of ["/admin", "/public/admin", "/:anything/admin", "/"]) app.use(prefix, pages);
      return app;
    },
  ],
  [
    "a router in routers, whose prefixes overlap with open ones",
    ({ make, router }, secret) => {
      const app = make();
      const [outer, inner] = [router(), router()];
      inner.get("/users", secret);
      inner.get("/", secret);
      outer.use("/users", openRouter(router));
      outer.use("/", requireLogin(), inner);
      app.use("/", openRouter(router));
      app.use("/public", outer);
      app.use("/admin", outer);
      return app;
    },
  ],
];

/** A router that answers nothing of these paths, but looks at all of them. */
function openRouter(router: Version["router"]): Router {
  const pages = router();
  pages.use((_request: Request, _response: Response, next: NextFunction) => next());
  pages.get("/open", (_request: Request, response: Response) => void response.send("open"));
  return pages;
}

/** Takes the method from a header, as `method-override` does. */
function overridingMethods(request: Request, _response: Response, next: NextFunction): void {
  const method = request.headers["x-http-method-override"];
  if (typeof method === "string") request.method = method;
  next();
}

interface Guarded {
  readonly served: Served;
  readonly cookie: string;
}

async function protect(version: Version, build: Build): Promise<Guarded> {
  const { sessions } = backstage();
  const app = version.make();
  app.use(overridingMethods);
  app.use(expressSession(sessions));
  app.use(build(version, (_request, response) => void response.set("X-Secret", "told").send("secret")));
  const served = await serveHttp1(listenerOf(app));
  onTestFinished(() => served.close());
  const { token } = await sessions.create({ userId: "ada" });
  return { served, cookie: `${COOKIE}=${token}` };
}

/** One way to ask: a method, a path, and what a header makes of the method. */
type Way = readonly [method: string, path: string, override?: string];

/** The ways that lead to the handler for a user; nobody else may get there by any. */
async function guardedWays({ served, cookie }: Guarded, ways: readonly Way[]): Promise<string[]> {
  const reached: string[] = [];
  for (const [method, path, override = method] of ways) {
    const way = [method, path, override].join(" ");
    const headers = { ...HTTPS, ...OWN_PAGE, "x-http-method-override": override };
    const nobody = await served.ask({ path, method, headers }).answer;
    const user = await served.ask({ path, method, headers: { ...headers, cookie } }).answer;
    expect([way, nobody.headers.has("x-secret"), nobody.body.includes("secret")]).toEqual([way, false, false]);
    if (!user.headers.has("x-secret")) continue;
    expect([way, nobody.status]).toEqual([way, 401]);
    reached.push(way);
  }
  return reached;
}

describe.each(VERSIONS)("a guard on $name", (version) => {
  it.each(APPLICATIONS)("is before the handler of %s, however the path is spelt", async (_name, build) => {
    const guarded = await protect(version, build);
    const ways = await guardedWays(
      guarded,
      PATHS.flatMap((path) => ["GET", "POST"].map((method): Way => [method, path])),
    );
    // Else nothing was tried.
    expect(ways).toContain("GET /admin GET");
    expect(ways.length).toBeGreaterThanOrEqual(4);
  });

  it.each(APPLICATIONS)("is before the handler of %s, whatever method a header makes of it", async (_name, build) => {
    const guarded = await protect(version, build);
    const ways = await guardedWays(
      guarded,
      METHODS.flatMap((method) => OVERRIDES.map((override): Way => [method, "/admin", override])),
    );
    expect(ways).toContain("POST /admin GET");
  });
});
