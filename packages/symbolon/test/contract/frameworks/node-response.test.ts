import { createReadStream } from "node:fs";
import { readFile } from "node:fs/promises";
import type http from "node:http";
import { Readable } from "node:stream";
import { describe, expect, it, onTestFinished } from "vitest";
import { sessionOf } from "symbolon/frameworks/node";
import { ask, type Backstage, backstage, begin, dataOf, deferred, HTTPS, tokenIn } from "./support/stage.ts";
import { type NodeHandler, NODE_TARGETS, type NodeTarget } from "./support/raw-targets.ts";

const THIS_FILE = new URL(import.meta.url);

async function serveRaw(target: NodeTarget, behind: Backstage, handler: NodeHandler) {
  const served = await target.serve(behind.sessions, handler);
  onTestFinished(() => served.close());
  return served;
}

/** Answers after having changed the session, so that the header has to wait for the store. */
function changing(answer: NodeHandler): NodeHandler {
  return (request, response) => {
    sessionOf(request).data["seen"] = true;
    return answer(request, response);
  };
}

describe.each(NODE_TARGETS)("the response object of $name", (target) => {
  const ways: readonly [name: string, answer: NodeHandler][] = [
    ["end with a body", (_, response) => response.end("abc")],
    ["end with an encoding", (_, response) => response.end("616263", "hex")],
    ["write and end", (_, response) => (response.write("a"), response.write(Buffer.from("b")), response.end("c"))],
    ["writeHead and end", (_, response) => response.writeHead(200, { "Content-Length": "3" }).end("abc")],
    ["writeHead, write and end", (_, response) => (response.writeHead(200), response.write("ab"), response.end("c"))],
    ["flushHeaders and end", (_, response) => (response.flushHeaders(), response.end("abc"))],
    ["pipe", (_, response) => void Readable.from(["a", "b", "c"]).pipe(response)],
    ["end twice", (_, response) => (response.end("abc"), response.end())],
  ];

  it.each(ways)("saves before it sends: %s", async (_name, answer) => {
    const behind = backstage();
    const served = await serveRaw(target, behind, (request, response) =>
      request.url === "/ping" ? response.end() : changing(answer)(request, response),
    );
    const { token, cookie } = await begin(behind, {});
    const gate = behind.hold("update");
    const asking = served.ask({ path: "/", headers: { ...HTTPS, cookie } });
    await gate.reached;
    await ask(served, "/ping");
    expect(asking.hasHead()).toBe(false);
    gate.open();
    expect((await asking.answer).body.toString()).toBe("abc");
    expect(await dataOf(behind, token)).toEqual({ seen: true });
  });

  it.each(ways)("sends at once when nothing changed: %s", async (_name, answer) => {
    const behind = backstage();
    const served = await serveRaw(target, behind, answer);
    const { cookie } = await begin(behind, {});
    const came = await ask(served, "/", { cookie });
    expect(came.body.toString()).toBe("abc");
    expect(behind.calls()).toEqual(["create", "read"]);
  });

  const ownCookies: readonly [name: string, answer: NodeHandler, only?: "http1" | "http2"][] = [
    ["setHeader", (_, response) => (response.setHeader("Set-Cookie", "a=1"), response.end())],
    ["setHeader with a list", (_, response) => (response.setHeader("Set-Cookie", ["a=1", "b=2"]), response.end())],
    ["appendHeader", (_, response) => (response.appendHeader("Set-Cookie", "a=1"), response.end())],
    ["writeHead with an object", (_, response) => response.writeHead(200, { "set-cookie": ["a=1", "b=2"] }).end()],
    [
      "writeHead with a reason",
      (_, response) => response.writeHead(200, "Fine", { "Set-Cookie": "a=1" }).end(),
      "http1",
    ],
    [
      "writeHead with no reason",
      (_, response) => response.writeHead(200, undefined, { "Set-Cookie": "a=1" } as http.OutgoingHttpHeaders).end(),
    ],
    [
      "writeHead with a flat list",
      (_, response) => response.writeHead(200, ["Set-Cookie", "a=1", "set-cookie", "b=2", "X-Own", "c"]).end(),
    ],
    [
      "writeHead with pairs",
      (_, response) => {
        const pairs = [
          ["Set-Cookie", "a=1"],
          ["Set-Cookie", "b=2"],
        ] as unknown as http.OutgoingHttpHeader[];
        response.writeHead(200, pairs).end();
      },
    ],
  ];

  it.each(ownCookies)("leaves the application's own cookies beside ours: %s", async (_name, answer, only) => {
    if (only !== undefined && only !== target.protocol) return;
    const behind = backstage();
    const served = await serveRaw(target, behind, changing(answer));
    const came = await ask(served, "/");
    expect(came.status).toBe(200);
    const own = came.cookies.filter((cookie) => !cookie.startsWith("__Host-sid="));
    expect(["a=1", "a=1 b=2"]).toContain(own.join(" "));
    expect(own).toHaveLength(/list|object|pairs/.test(_name) ? 2 : 1);
    expect(await dataOf(behind, tokenIn(came))).toEqual({ seen: true });
  });

  it("calls back when a chunk and the end have been sent", async () => {
    const behind = backstage();
    const called: string[] = [];
    const done = deferred();
    const served = await serveRaw(
      target,
      behind,
      changing((_, response) => {
        response.write("a", () => called.push("write"));
        response.end("b", () => {
          called.push("end");
          done.resolve();
        });
      }),
    );
    expect((await ask(served, "/")).body.toString()).toBe("ab");
    await done.promise;
    expect(called).toEqual(["write", "end"]);
  });

  it("says that the headers are sent from the first call that sends them", async () => {
    const said: boolean[] = [];
    const served = await serveRaw(
      target,
      backstage(),
      changing((_, response) => {
        said.push(response.headersSent);
        response.write("a");
        said.push(response.headersSent);
        response.end();
        said.push(response.headersSent);
      }),
    );
    await ask(served, "/");
    expect(said).toEqual([false, true, true]);
  });

  it("pipes a file, and a slow stream with backpressure, whole and in order", async () => {
    const behind = backstage();
    const lines = Array.from({ length: 4000 }, (_, index) => `${index}:`.padEnd(64, "-"));
    let drains = 0;
    const served = await serveRaw(
      target,
      behind,
      changing((request, response) => {
        response.on("drain", () => drains++);
        if (request.url === "/file") createReadStream(THIS_FILE).pipe(response);
        else Readable.from(lines, { highWaterMark: 4 }).pipe(response);
      }),
    );
    expect((await ask(served, "/file")).body.toString()).toBe(await readFile(THIS_FILE, "utf8"));
    expect(drains).toBeGreaterThan(0);
    const answer = await ask(served, "/stream");
    expect(answer.body.byteLength).toBeGreaterThan(100 * 1024);
    expect(answer.body.toString()).toBe(lines.join(""));
    expect(await dataOf(behind, tokenIn(answer))).toEqual({ seen: true });
  });

  it("passes a wrong chunk's error to nobody's harm: the request fails, the process goes on", async () => {
    const served = await serveRaw(target, backstage(), (request, response) => {
      if (request.url === "/ping") return response.end("pong");
      return changing(() => response.end(42 as unknown as string))(request, response);
    });
    // HTTP/2 sends the header before it looks at the chunk, or resets the stream without one, as the runtime has it.
    const hasFailed = await ask(served, "/").then(
      ({ isCut, status }) => isCut || status === 500,
      () => true,
    );
    expect(hasFailed).toBe(true);
    expect((await ask(served, "/ping")).body.toString()).toBe("pong");
  });

  it("refuses an impossible status where it is written", async () => {
    const served = await serveRaw(
      target,
      backstage(),
      changing((_, response) => {
        expect(() => response.writeHead(42)).toThrow(RangeError);
        response.statusCode = 200;
        response.end("still free to answer");
      }),
    );
    expect((await ask(served, "/")).body.toString()).toBe("still free to answer");
  });

  it("survives a second implicit header while the first waits for the store", async () => {
    const served = await serveRaw(
      target,
      backstage(),
      changing((_, response) => {
        // As compressing middleware does that looks at Node's own header text.
        response.writeHead(200);
        response.write("a");
        response.writeHead(200);
        response.end("b");
      }),
    );
    expect((await ask(served, "/")).body.toString()).toBe("ab");
  });

  it("does not take what a handler still writes after its save has failed for a success", async () => {
    const behind = backstage();
    const failed = deferred();
    const wrote = deferred();
    behind.sessions.on("store-failed", () => failed.resolve());
    const served = await serveRaw(target, behind, async (request, response) => {
      if (request.url === "/ping") return response.end("pong");
      sessionOf(request).data["seen"] = true;
      response.write("a");
      await failed.promise;
      await new Promise((resolve) => setImmediate(resolve));
      response.write("b");
      response.end("c");
      return wrote.resolve();
    });
    behind.faults.fail();
    const answer = await ask(served, "/");
    expect(answer.status).toBe(503);
    expect(answer.body.toString()).not.toMatch(/^a/);
    await wrote.promise;
    behind.faults.heal();
    expect((await ask(served, "/ping")).body.toString()).toBe("pong");
  });
});
