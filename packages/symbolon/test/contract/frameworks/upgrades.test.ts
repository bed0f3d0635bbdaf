import http from "node:http";
import http2 from "node:http2";
import { text } from "node:stream/consumers";
import { openSession, type Session } from "symbolon";
import { sessionOfUpgrade } from "symbolon/frameworks/node";
import { manualClock } from "symbolon/testing";
import { describe, expect, it, onTestFinished } from "vitest";
import { closeServer, listen } from "./support/client.ts";
import { type Backstage, backstage, dataOf, HTTPS, type Options, OWN_PAGE } from "./support/stage.ts";
import { APP, EVIL, knownUser, type Lines, sendText } from "./support/watched.ts";

/** A server whose WebSocket handshakes are answered with what the session says, or refused. */
async function serveUpgrades(
  options: Options = {},
  answer: (session: Session) => string | Promise<string> = (session) => session.userId ?? session.state,
): Promise<{ behind: Backstage; handshake: (lines: Lines) => Promise<string> }> {
  const behind = backstage({ origins: [APP], ...options });
  const server = http.createServer((_request, response) => void response.end("no upgrade"));
  server.on("upgrade", (request, socket) => {
    sessionOfUpgrade(behind.sessions, request)
      .then(async (session) => (session === null ? "HTTP/1.1 403 Forbidden" : `HTTP/1.1 101 ${await answer(session)}`))
      .catch((error: unknown) => `HTTP/1.1 500 ${(error as Error).name}`)
      .then((line) => socket.end(`${line}\r\n\r\n`))
      .catch(() => socket.destroy());
  });
  const port = await listen(server);
  onTestFinished(() => closeServer(server));
  const handshake = async (lines: Lines): Promise<string> => {
    const fields = Object.entries({ ...HTTPS, ...lines }).map(([name, value]) => `${name}: ${value}`);
    const head = ["GET /chat HTTP/1.1", "Host: app.test", "Connection: Upgrade", "Upgrade: websocket"];
    const came = await sendText(port, [...head, ...fields]);
    return /^HTTP\/1\.1 (.*)\r\n/.exec(came)?.[1] ?? came;
  };
  return { behind, handshake };
}

describe("sessionOfUpgrade", () => {
  it("opens the session for one's own pages only", async () => {
    const { behind, handshake } = await serveUpgrades();
    const refused: string[] = [];
    behind.sessions.on("csrf-refused", ({ reason }) => refused.push(reason));
    const { cookie } = await knownUser(behind);
    expect(await handshake({ cookie, origin: APP })).toBe("101 ada");
    expect(await handshake({ cookie, ...OWN_PAGE })).toBe("101 ada");
    expect(await handshake({ origin: APP })).toBe("101 anonymous");
    expect(refused).toEqual([]);
    expect(await handshake({ cookie, origin: EVIL })).toBe("403 Forbidden");
    expect(await handshake({ origin: EVIL })).toBe("403 Forbidden");
    expect(await handshake({ cookie, origin: "null" })).toBe("403 Forbidden");
    expect(refused).toEqual(["foreign-origin", "foreign-origin", "foreign-origin"]);
  });

  it("refuses a cookie that comes without an origin, with or without a token", async () => {
    const { behind, handshake } = await serveUpgrades();
    const { cookie, valid } = await knownUser(behind);
    expect(await handshake({ cookie })).toBe("403 Forbidden");
    expect(await handshake({ cookie, "x-csrf-token": valid })).toBe("403 Forbidden");
    // A program without a cookie has nothing to abuse.
    expect(await handshake({})).toBe("101 anonymous");
  });

  it("takes a dead cookie for none, and a bearer token where switched on", async () => {
    const { behind, handshake } = await serveUpgrades({ bearer: true });
    const { token, cookie } = await knownUser(behind);
    expect(await handshake({ authorization: `Bearer ${token}` })).toBe("101 ada");
    await behind.sessions.revokeToken(token);
    expect(await handshake({ cookie, origin: APP })).toBe("101 anonymous");
  });

  it("judges nothing with csrf: false, and reads no cookie over plain http", async () => {
    const open = await serveUpgrades({ csrf: false });
    const { cookie } = await knownUser(open.behind);
    expect(await open.handshake({ cookie, origin: EVIL })).toBe("101 ada");
    const plain = await serveUpgrades({ trustProxy: false });
    const known = await knownUser(plain.behind);
    expect(await plain.handshake({ cookie: known.cookie, origin: APP })).toBe("101 anonymous");
  });

  it("fails when the store does: nobody is taken for anonymous", async () => {
    const { behind, handshake } = await serveUpgrades();
    const { cookie } = await knownUser(behind);
    behind.faults.fail();
    expect(await handshake({ cookie, origin: APP })).toBe("500 StoreUnavailableError");
  });

  it.each([
    ["stays as it is", {}],
    ["is not used up, where it is good once", { grace: 0 }],
  ] as const)("cannot tell of a new token, so that one which is due %s", async (_, rotation) => {
    const clock = manualClock();
    const { behind, handshake } = await serveUpgrades({ clock, rotation: { every: "15m", ...rotation } });
    const { cookie } = await knownUser(behind);
    clock.advance(15 * 60_000);
    expect(await handshake({ cookie, origin: APP })).toBe("101 ada");
    expect(await handshake({ cookie, origin: APP })).toBe("101 ada");
    const next = await openSession(behind.sessions, new Headers({ cookie }));
    expect([next.session.userId, (await next.commit()).length]).toEqual(["ada", 1]);
    expect(behind.calls().filter((name) => name === "update")).toHaveLength(1);
  });

  it("goes on writing for as long as the connection lasts, however often the token was replaced meanwhile", async () => {
    const clock = manualClock();
    let connected: Session | null = null;
    const { behind, handshake } = await serveUpgrades({ clock }, (session) => {
      connected = session;
      return "connected";
    });
    let { cookie } = await knownUser(behind);
    await handshake({ cookie, origin: APP });
    for (let rotated = 1; rotated < 4; rotated++) {
      clock.advance(15 * 60_000);
      const page = await openSession(behind.sessions, new Headers({ cookie }));
      [cookie = ""] = await page.commit();
      await (await openSession(behind.sessions, new Headers({ cookie }))).commit();
      expect(await (connected as Session | null)?.update((data) => void (data["messages"] = rotated))).toBe("saved");
      const { session } = await openSession(behind.sessions, new Headers({ cookie }));
      expect([session.userId, session.data["messages"]]).toEqual(["ada", rotated]);
    }
  });

  it("writes to the session there is", async () => {
    const { behind, handshake } = await serveUpgrades({}, async (session) => {
      session.data["chats"] = 1;
      return session.save();
    });
    const { token, cookie } = await knownUser(behind);
    expect(await handshake({ cookie, origin: APP })).toBe("101 saved");
    expect(await dataOf(behind, token)).toEqual({ cart: "tea", chats: 1 });
  });

  it.each<[name: string, begins: (session: Session) => Promise<unknown>]>([
    ["login", (session) => session.login("eve")],
    [
      "save",
      (session) => {
        session.data["chats"] = 1;
        return session.save();
      },
    ],
    ["update", (session) => session.update((data) => void (data["chats"] = 1))],
  ])("cannot begin a session, as no cookie could be sent: %s", async (_name, begins) => {
    const { behind, handshake } = await serveUpgrades({}, async (session) => String(await begins(session)));
    expect(await handshake({ origin: APP })).toBe("500 HeadersSentError");
    expect(behind.calls()).toEqual([]);
  });

  it("judges WebSockets over HTTP/2 by the same headers (RFC 8441)", async () => {
    const behind = backstage({ origins: [APP] });
    const server = http2.createServer({ settings: { enableConnectProtocol: true } }, (_request, response) => {
      response.end("no upgrade");
    });
    server.on("connect", (request: http2.Http2ServerRequest, response: http2.Http2ServerResponse) => {
      void sessionOfUpgrade(behind.sessions, request).then((session) => {
        response.statusCode = session === null ? 403 : 200;
        response.end(session?.userId ?? "");
      });
    });
    const port = await listen(server);
    const client = http2.connect(`http://127.0.0.1:${port}`);
    onTestFinished(async () => {
      client.destroy();
      await closeServer(server);
    });
    await new Promise((resolve) => client.once("remoteSettings", resolve));
    const { cookie } = await knownUser(behind);
    const handshake = async (lines: Lines): Promise<unknown[]> => {
      const stream = client.request({
        ":method": "CONNECT",
        ":protocol": "websocket",
        ":path": "/",
        ...HTTPS,
        ...lines,
      });
      let status: unknown;
      stream.on("response", (fields) => (status = fields[":status"]));
      stream.end();
      return [await text(stream), status];
    };
    expect(await handshake({ cookie, origin: APP })).toEqual(["ada", 200]);
    expect(await handshake({ cookie, origin: EVIL })).toEqual(["", 403]);
    expect(await handshake({ cookie })).toEqual(["", 403]);
  });
});
