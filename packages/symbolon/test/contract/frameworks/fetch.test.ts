import { describe, expect, it } from "vitest";
import { type FetchSessionOptions, withSession } from "symbolon/frameworks/fetch";
import type { Session } from "symbolon";
import { type Backstage, backstage, begin, COOKIE, dataOf, deferred, HTTPS } from "./support/stage.ts";

type Answering = (request: Request, session: Session) => Response | Promise<Response>;

function run(
  behind: Backstage,
  handler: Answering,
  headers: Readonly<Record<string, string>> = {},
  options?: FetchSessionOptions,
): Promise<Response> {
  const request = new Request("http://app.example/", { headers: { ...HTTPS, ...headers } });
  return withSession(behind.sessions, handler, options)(request);
}

/** Changes the session before it answers. */
function changing(answer: () => Response | Promise<Response>): Answering {
  return (_request, session) => {
    session.data["seen"] = true;
    return answer();
  };
}

function tokenOf(response: Response): string {
  const [cookie = "", ...others] = response.headers.getSetCookie().filter((line) => line.startsWith(COOKIE));
  expect(others).toEqual([]);
  return cookie.slice(COOKIE.length + 1).split(";")[0] ?? "";
}

function failing(): Backstage {
  const behind = backstage();
  behind.faults.fail();
  return behind;
}

function broken(): never {
  throw new Error("broken");
}

describe("a Fetch handler's response", () => {
  it("may have headers that cannot be changed", async () => {
    const answers: (() => Response | Promise<Response>)[] = [
      () => Response.redirect("https://app.example/next", 303),
      () => fetch("data:text/plain,abc"),
    ];
    for (const answer of answers) {
      const behind = backstage();
      const plain = await answer();
      const response = await run(behind, changing(answer));
      expect(response.status).toBe(plain.status);
      expect(response.headers.get("location")).toBe(plain.headers.get("location"));
      expect(await response.text()).toBe(await plain.text());
      expect(await dataOf(behind, tokenOf(response))).toEqual({ seen: true });
    }
  });

  it.each([204, 205, 304])("has no body with status %i", async (status) => {
    const behind = backstage();
    const response = await run(
      behind,
      changing(() => new Response(null, { status })),
    );
    expect([response.status, response.body]).toEqual([status, null]);
    expect(await dataOf(behind, tokenOf(response))).toEqual({ seen: true });
  });

  it("keeps its status text, headers and own cookies", async () => {
    const headers = new Headers([
      ["Set-Cookie", "a=1"],
      ["Set-Cookie", "b=2"],
      ["X-Own", "c"],
    ]);
    const response = await run(
      backstage(),
      changing(() => new Response("abc", { status: 201, statusText: "Made", headers })),
    );
    expect([response.status, response.statusText, response.headers.get("x-own")]).toEqual([201, "Made", "c"]);
    expect(response.headers.getSetCookie()).toEqual(["a=1", "b=2", expect.stringMatching(`^${COOKIE}=s1_`)]);
  });

  it("carries binary bodies and those of a stream unchanged", async () => {
    const bytes = Uint8Array.from({ length: 70_000 }, (_, index) => index % 251);
    for (const make of [() => bytes, () => new Blob([bytes]), () => new Blob([bytes]).stream()]) {
      const response = await run(
        backstage(),
        changing(() => new Response(make())),
      );
      expect(Buffer.from(await response.arrayBuffer()).equals(bytes)).toBe(true);
    }
  });

  it("passes an error in its stream on, and drops plain data", async () => {
    const behind = backstage();
    const { token, cookie } = await begin(behind, {});
    const response = await run(
      behind,
      (_request, session) =>
        new Response(
          new ReadableStream({
            start: (controller) => controller.enqueue(Buffer.from("first")),
            pull(controller) {
              session.data["late"] = true;
              controller.error(new Error("broken"));
            },
          }),
        ),
      { cookie },
    );
    await expect(response.text()).rejects.toThrow("broken");
    expect(await dataOf(behind, token)).toEqual({});
  });

  it("passes a client's cancelling on to the stream", async () => {
    const cancelled = deferred<unknown>();
    const response = await run(
      backstage(),
      changing(
        () =>
          new Response(
            new ReadableStream({
              pull: (controller) => controller.enqueue(Buffer.from("more")),
              cancel: (reason) => cancelled.resolve(reason),
            }),
          ),
      ),
    );
    await response.body?.cancel("gone");
    expect(await cancelled.promise).toBe("gone");
  });

  it("cancels the stream of an answer that cannot be sent, also one that somebody reads", async () => {
    const cancelled = deferred();
    const stream = (): ReadableStream => new ReadableStream({ cancel: () => cancelled.resolve() });
    expect(
      (
        await run(
          failing(),
          changing(() => new Response(stream())),
        )
      ).status,
    ).toBe(503);
    await cancelled.promise;
    const locked = await run(
      failing(),
      changing(() => {
        const response = new Response(stream());
        response.body?.getReader();
        return response;
      }),
    );
    expect(locked.status).toBe(503);
  });
});

describe("a Fetch handler that throws", () => {
  it("has its error thrown on when no cookie has to go out", async () => {
    const behind = backstage();
    await expect(run(behind, changing(broken))).rejects.toThrow("broken");
    expect(behind.calls()).toEqual([]);
  });

  it("is answered 500 when a cookie has to go out", async () => {
    const behind = backstage();
    const response = await run(behind, async (_request, session) => {
      await session.update((data) => {
        data["kept"] = true;
      });
      session.data["dropped"] = true;
      return broken();
    });
    expect(response.status).toBe(500);
    expect(response.headers.get("cache-control")).toBe("private, no-store");
    expect(await dataOf(behind, tokenOf(response))).toEqual({ kept: true });
  });

  it("is answered by onError, with the cookies of what was committed, and without plain data", async () => {
    const behind = backstage();
    const seen: unknown[] = [];
    const options: FetchSessionOptions = {
      onError(error, request) {
        seen.push(error, request.url);
        return new Response("my own page", { status: 404 });
      },
    };
    const response = await run(
      behind,
      async (_request, session) => {
        session.data["kept"] = true;
        await session.save();
        session.data["dropped"] = true;
        return broken();
      },
      {},
      options,
    );
    expect(seen).toEqual([new Error("broken"), "http://app.example/"]);
    expect([response.status, await response.text()]).toEqual([404, "my own page"]);
    expect(await dataOf(behind, tokenOf(response))).toEqual({ kept: true });
  });

  it("gets a store's failure answered 503 when it does not catch it", async () => {
    const behind = backstage();
    behind.faults.fail();
    const response = await run(behind, async (_request, session) => {
      session.data["seen"] = true;
      await session.save();
      return new Response("page");
    });
    expect([response.status, response.headers.get("retry-after")]).toEqual([503, "5"]);
  });
});

describe("a Fetch handler's connection", () => {
  it("is what the application says, where it says it", async () => {
    const behind = backstage({ trustProxy: false });
    const request = new Request("http://app.example/");
    const handler = withSession(
      behind.sessions,
      changing(() => new Response("page")),
      {
        connection: ({ url }) => ({ secure: url.startsWith("http://app."), loopback: false }),
      },
    );
    expect(tokenOf(await handler(request))).not.toBe("");
  });

  it("is https when the URL says so", async () => {
    const behind = backstage({ trustProxy: false });
    const handler = withSession(
      behind.sessions,
      changing(() => new Response("page")),
    );
    expect(tokenOf(await handler(new Request("https://app.example/")))).not.toBe("");
  });

  it("passes what the platform gives besides the request", async () => {
    const { sessions } = backstage();
    const handler = withSession(sessions, (_request, _session, env: { region: string }, more: number) =>
      Response.json([env.region, more]),
    );
    expect(await (await handler(new Request("https://app.example/"), { region: "eu" }, 7)).json()).toEqual(["eu", 7]);
  });
});
