import type { Express, NextFunction, Request, Response } from "express";
import { readFile } from "node:fs/promises";
import { gzipSync } from "node:zlib";
import { fileURLToPath } from "node:url";
import { describe, expect, it, onTestFinished } from "vitest";
import type { SessionManager } from "symbolon";
import { expressSession, sessionOf } from "symbolon/frameworks/express";
import type { Served } from "./support/app.ts";
import { catching, listenerOf, makeExpress4, makeExpress5 } from "./support/express-targets.ts";
import { serveHttp1 } from "./support/node-targets.ts";
import { ask, backstage, begin, dataOf, deferred, HTTPS, tokenIn } from "./support/stage.ts";

const VERSIONS = [
  { name: "Express 4", make: makeExpress4 },
  { name: "Express 5", make: makeExpress5 },
] as const;

const THIS_FILE = fileURLToPath(import.meta.url);

async function serveApp(app: Express): Promise<Served> {
  const served = await serveHttp1(listenerOf(app));
  onTestFinished(() => served.close());
  return served;
}

/** An error handler as applications write them. */
function customHandler(error: { status?: number }, _request: Request, response: Response, next: NextFunction): void {
  if (response.headersSent) return next(error);
  response.status(error.status ?? 500).json({ failed: error.status ?? 500 });
}

function counting(app: Express, sessions: SessionManager): Express {
  app.use(expressSession(sessions));
  app.use((request: Request, _response: Response, next: NextFunction) => {
    sessionOf(request, sessions).data["seen"] = true;
    next();
  });
  return app;
}

/** Compresses as the well-known middleware does: patches the response, and sends its header implicitly. */
function compressing(_request: Request, response: Response, next: NextFunction): void {
  const write = response.write.bind(response);
  const end = response.end.bind(response);
  const writeHead = response.writeHead.bind(response);
  const chunks: Buffer[] = [];
  const hasHeader = (): boolean => typeof Reflect.get(response, "_header") === "string";
  response.writeHead = (status: number) => {
    response.removeHeader("Content-Length");
    response.setHeader("Content-Encoding", "gzip");
    return writeHead(status);
  };
  response.write = (chunk: string | Buffer) => {
    chunks.push(Buffer.from(chunk));
    if (!hasHeader()) response.writeHead(response.statusCode);
    return true;
  };
  response.end = ((chunk?: string | Buffer) => {
    if (chunk !== undefined) chunks.push(Buffer.from(chunk));
    if (!hasHeader()) response.writeHead(response.statusCode);
    write(gzipSync(Buffer.concat(chunks)));
    return end();
  }) as typeof end;
  next();
}

describe.each(VERSIONS)("the middleware on $name", ({ make }) => {
  it("hangs the same session where Express users look for it", async () => {
    const { sessions } = backstage();
    const app = make();
    app.use(expressSession(sessions));
    app.get("/", (request, response) => {
      expect(Reflect.get(request, "session")).toBe(sessionOf(request));
      response.json(Object.keys(sessionOf(request).data));
    });
    expect((await ask(await serveApp(app), "/")).body.toString()).toBe("[]");
  });

  it("saves for json, redirect, sendFile, download, sendStatus and an unknown path", async () => {
    const behind = backstage();
    const app = counting(make(), behind.sessions);
    app.get("/json", (_request, response) => void response.json({ a: 1 }));
    app.get("/redirect", (_request, response) => response.redirect("/json"));
    app.get("/file", (_request, response) => response.sendFile(THIS_FILE));
    app.get("/download", (_request, response) => response.download(THIS_FILE, "test.ts"));
    app.get("/status", (_request, response) => void response.sendStatus(204));
    const served = await serveApp(app);
    const file = await readFile(THIS_FILE, "utf8");
    const { token, cookie } = await begin(behind, {});
    for (const [path, status, body] of [
      ["/json", 200, '{"a":1}'],
      ["/redirect", 302, "Found. Redirecting to /json"],
      ["/file", 200, file],
      ["/download", 200, file],
      ["/status", 204, ""],
      ["/unknown", 404, null],
    ] as const) {
      const fresh = await ask(served, path);
      expect([path, fresh.status]).toEqual([path, status]);
      if (body !== null) expect(fresh.body.toString()).toBe(body);
      expect(await dataOf(behind, tokenIn(fresh))).toEqual({ seen: true });
      expect(fresh.headers.get("cache-control")).toBe("private, no-store");
      const gate = behind.hold("update");
      const asking = served.ask({ path, headers: { ...HTTPS, cookie } });
      if ((await dataOf(behind, token))?.["seen"] !== true) {
        await gate.reached;
        expect(asking.hasHead()).toBe(false);
      }
      gate.open();
      expect((await asking.answer).cookies).toEqual([]);
      behind.faults.heal();
    }
  });

  it("gives a failed save to the application's error handler, with its status", async () => {
    const behind = backstage();
    const app = counting(make(), behind.sessions);
    app.get("/page", (_request, response) => void response.status(201).type("html").send("<p>made"));
    app.get("/file", (_request, response) => response.sendFile(THIS_FILE));
    app.get("/head", (_request, response) => void response.writeHead(201, { "Content-Length": "4" }).end("made"));
    app.use(customHandler);
    const served = await serveApp(app);
    behind.faults.fail();
    // Express has passed the error handlers by then.
    expect((await ask(served, "/unknown")).status).toBe(503);
    for (const path of ["/page", "/file", "/head"]) {
      const answer = await ask(served, path);
      expect([path, answer.status, answer.body.toString()]).toEqual([path, 503, '{"failed":503}']);
      expect(answer.headers.get("content-type")).toBe("application/json; charset=utf-8");
      expect(answer.cookies).toEqual([]);
      expect(answer.headers.get("cache-control")).toBe("private, no-store");
      for (const name of ["last-modified", "accept-ranges"]) expect(answer.headers.has(name)).toBe(false);
    }
  });

  it("keeps the status of a failed save with an error handler that sets none", async () => {
    const behind = backstage();
    const app = counting(make(), behind.sessions);
    app.get("/", (_request, response) => {
      response.statusMessage = "All Is Well";
      response.status(201).send("made");
    });
    app.use((_error: unknown, _request: Request, response: Response, _next: NextFunction) => {
      response.end(response.statusMessage);
    });
    behind.faults.fail();
    const answer = await ask(await serveApp(app), "/");
    expect(answer.status).toBe(503);
    expect(answer.body.toString()).not.toContain("All Is Well");
  });

  it("drops plain data when the error handler answers 500, by whichever call, and keeps it for a 404", async () => {
    const behind = backstage();
    const app = counting(make(), behind.sessions);
    app.get("/next", (_request, _response, next) => next(new Error("broken")));
    app.get("/404", (_request, _response, next) => next(Object.assign(new Error("missing"), { status: 404 })));
    app.get(
      "/rejects",
      catching(() => Promise.reject(new Error("broken"))),
    );
    app.get("/writeHead", (_request, response) => void response.writeHead(500).end("sorry"));
    app.use(customHandler);
    const served = await serveApp(app);
    for (const path of ["/next", "/rejects", "/writeHead"]) {
      const answer = await ask(served, path);
      expect([path, answer.status, answer.cookies]).toEqual([path, 500, []]);
    }
    expect(behind.calls()).toEqual([]);
    expect(tokenIn(await ask(served, "/404"))).not.toBe("");
  });

  it.each(["before", "after"])("works with compressing middleware mounted %s it", async (order) => {
    const behind = backstage();
    const app = make();
    if (order === "before") app.use(compressing);
    counting(app, behind.sessions);
    if (order === "after") app.use(compressing);
    app.get("/send", (_request, response) => void response.send("abc"));
    app.get("/write", (_request, response) => {
      response.write("a");
      response.write("b");
      response.end("c");
    });
    app.get("/fails", (_request, response) => void response.send("abc"));
    const served = await serveApp(app);
    for (const path of ["/send", "/write"]) {
      const answer = await ask(served, path);
      expect(answer.body.equals(gzipSync("abc"))).toBe(true);
      expect(answer.headers.get("content-encoding")).toBe("gzip");
      expect(await dataOf(behind, tokenIn(answer))).toEqual({ seen: true });
    }
    behind.faults.fail();
    expect((await ask(served, "/fails")).status).toBe(503);
  });

  it("follows the application's trust proxy setting", async () => {
    for (const [trust, expected] of [
      [1, 1],
      ["loopback", 1],
      [false, 0],
      ["10.0.0.0/8", 0],
    ] as const) {
      const behind = backstage({ trustProxy: false });
      const app = make();
      app.set("trust proxy", trust);
      counting(app, behind.sessions).get("/", (_request, response) => void response.send("page"));
      expect((await ask(await serveApp(app), "/")).cookies).toHaveLength(expected);
    }
  });

  it("is shared by routers that mount it again", async () => {
    const behind = backstage();
    const app = make();
    app.use("/a", expressSession(behind.sessions));
    app.use("/a/b", expressSession(behind.sessions));
    app.get("/a/b", (request, response) => {
      sessionOf(request).data["seen"] = true;
      response.send("page");
    });
    app.get("/other", (request, response) => void response.send(String(Reflect.has(request, "session"))));
    const served = await serveApp(app);
    expect(await dataOf(behind, tokenIn(await ask(served, "/a/b")))).toEqual({ seen: true });
    expect((await ask(served, "/other")).body.toString()).toBe("false");
  });

  it("answers 503 once, and lives on, when a handler writes on while Express waits for the rest of an upload", async () => {
    const behind = backstage();
    const failed = deferred();
    const isWritten = deferred();
    behind.sessions.on("store-failed", () => failed.resolve());
    const app = counting(make(), behind.sessions);
    app.use(
      catching(async (_request, response) => {
        response.write("a");
        await failed.promise;
        // Express' own error page comes a few turns later, and then waits for the request's body.
        for (let turn = 0; turn < 10; turn++) await new Promise((resolve) => setImmediate(resolve));
        response.write("b");
        response.end("c");
        isWritten.resolve();
      }),
    );
    const served = await serveApp(app);
    behind.faults.fail();
    const asking = served.ask({
      path: "/",
      method: "POST",
      headers: { ...HTTPS, "Content-Length": "5" },
      body: isWritten.promise.then(() => "hello"),
    });
    const answer = await asking.answer;
    expect([answer.status, answer.cookies]).toEqual([503, []]);
    expect(answer.body.toString()).not.toMatch(/^a/);
    behind.faults.heal();
    expect((await ask(served, "/unknown-to-nobody")).status).toBe(200);
  });
});
