import { describe, expect, it, onTestFinished } from "vitest";
import { sessionOf, withSession } from "symbolon/frameworks/node";
import { type AnyRequest, type AnyResponse, serveHttp1, serveHttp2 } from "./support/node-targets.ts";
import { ask, type Backstage, backstage, begin, dataOf, deferred, listenToWarnings } from "./support/stage.ts";
import type { Served } from "./support/app.ts";

const VERSIONS = [
  { name: "node:http", serveOver: serveHttp1 },
  { name: "node:http2", serveOver: serveHttp2 },
] as const;

type NodeHandler = (request: AnyRequest, response: AnyResponse) => void | Promise<void>;

describe.each(VERSIONS)("withSession on $name", ({ serveOver }) => {
  async function serve(
    behind: Backstage,
    handler: NodeHandler,
    options?: { onError: (error: unknown) => void },
  ): Promise<Served> {
    const listener = withSession(behind.sessions, handler, options);
    const served = await serveOver((request, response) => void listener(request, response));
    onTestFinished(() => served.close());
    return served;
  }

  it("answers a whole 500 though the handler had described another answer before it threw", async () => {
    const behind = backstage();
    const served = await serve(
      behind,
      (_request, response) => {
        response.statusCode = 201;
        for (const [name, value] of [
          ["Content-Length", "1000"],
          ["Content-Encoding", "gzip"],
          ["Content-Type", "image/png"],
          ["ETag", '"own"'],
          ["X-Own", "stays"],
        ] as const) {
          response.setHeader(name, value);
        }
        throw new Error("broken");
      },
      { onError: () => {} },
    );
    const answer = await ask(served, "/");
    expect([answer.status, answer.isCut, answer.body.toString()]).toEqual([500, false, "Internal Server Error"]);
    expect(answer.headers.get("content-type")).toBe("text/plain; charset=utf-8");
    expect(answer.headers.has("content-encoding")).toBe(false);
    expect(answer.headers.has("etag")).toBe(false);
    expect(answer.headers.get("x-own")).toBe("stays");
  });

  it("lets an answer stand whose handler fails afterwards, and reports the error", async () => {
    const behind = backstage();
    const reported = deferred<unknown>();
    const served = await serve(
      behind,
      async (request, response) => {
        sessionOf(request).data["seen"] = true;
        response.end("done");
        throw new Error("broken");
      },
      { onError: (error) => reported.resolve(error) },
    );
    const { token, cookie } = await begin(behind, {});
    expect((await ask(served, "/", { cookie })).body.toString()).toBe("done");
    expect(await reported.promise).toEqual(new Error("broken"));
    expect(await dataOf(behind, token)).toEqual({ seen: true });
  });

  it("warns of errors nobody listens to, and shows none to the client", async () => {
    const { warnings, settle } = listenToWarnings();
    const originals: string[] = [];
    const listener = (warning: Error): void => void originals.push(warning.message);
    process.on("warning", listener);
    onTestFinished(() => void process.off("warning", listener));
    const served = await serve(backstage(), () => Promise.reject(new Error("secret cause")));
    const answer = await ask(served, "/");
    await settle();
    expect(answer.status).toBe(500);
    expect(answer.body.toString()).toBe("Internal Server Error");
    expect([...warnings, ...originals]).toContain("secret cause");
  });

  it("does not report a store's failure, which is an event already", async () => {
    const behind = backstage();
    const reported: unknown[] = [];
    const served = await serve(behind, (request, response) => void response.end(sessionOf(request).state), {
      onError: (error) => reported.push(error),
    });
    const { cookie } = await begin(behind, {});
    behind.faults.fail();
    const answer = await ask(served, "/", { cookie });
    expect([answer.status, answer.headers.get("retry-after")]).toEqual([503, "5"]);
    expect(answer.headers.get("cache-control")).toBe("no-store");
    expect(reported).toEqual([]);
  });

  it("answers although onError itself throws", async () => {
    const behind = backstage();
    const served = await serve(
      behind,
      () => {
        throw new Error("broken");
      },
      {
        onError: () => {
          throw new Error("The log is full.");
        },
      },
    );
    expect((await ask(served, "/")).status).toBe(500);
  });

  it("answers a failed save although onError itself throws", async () => {
    const behind = backstage();
    const served = await serve(
      behind,
      (request, response) => {
        sessionOf(request).data["when"] = new Date();
        response.end("page");
      },
      {
        onError: () => {
          throw new Error("The log is full.");
        },
      },
    );
    expect((await ask(served, "/")).status).toBe(500);
  });

  it("reports a chunk that Node refuses after the wait for the store", async () => {
    const behind = backstage();
    const reported = deferred<unknown>();
    const served = await serve(
      behind,
      (request, response) => {
        sessionOf(request).data["seen"] = true;
        Reflect.apply(Reflect.get(response, "end"), response, [42]);
      },
      { onError: (error) => reported.resolve(error) },
    );
    // HTTP/2 cuts the answer or resets the stream without one, as the runtime has it.
    const hasFailed = await ask(served, "/").then(
      ({ isCut, status }) => isCut || status === 500,
      () => true,
    );
    expect(hasFailed).toBe(true);
    expect(await reported.promise).toMatchObject({ code: "ERR_INVALID_ARG_TYPE" });
  });
});
