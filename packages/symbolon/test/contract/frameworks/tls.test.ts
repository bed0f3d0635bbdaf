import http2 from "node:http2";
import https from "node:https";
import type { Duplex } from "node:stream";
import { describe, expect, it, onTestFinished } from "vitest";
import { expressSession } from "symbolon/frameworks/express";
import { sessionOf } from "symbolon/frameworks/node";
import { connectionReader, type NodeRequest } from "../../../src/frameworks/shared/node-request.ts";
import { selfSigned } from "./support/certificate.ts";
import { type Asking, askHttp1, askHttp2, closeServer, listen, type Question } from "./support/client.ts";
import { listenerOf, makeExpress5 } from "./support/express-targets.ts";
import { type AnyRequest, type AnyResponse, type Listener, nodeListener } from "./support/node-targets.ts";
import { backstage, COOKIE, dataOf, tokenIn } from "./support/stage.ts";

type Ask = (question: Question) => Asking;

async function serveHttps(listener: Listener): Promise<Ask> {
  const server = https.createServer(selfSigned(), listener);
  const port = await listen(server);
  const agent = new https.Agent({ rejectUnauthorized: false });
  onTestFinished(async () => {
    agent.destroy();
    server.closeAllConnections();
    await closeServer(server);
  });
  return (question) => askHttp1(port, agent, question, https);
}

async function serveHttp2Secure(listener: Listener): Promise<Ask> {
  const server = http2.createSecureServer(selfSigned(), listener);
  const connections = new Set<Duplex>();
  server.on("secureConnection", (connection: Duplex) => connections.add(connection));
  const port = await listen(server);
  const client = http2.connect(`https://127.0.0.1:${port}`, { rejectUnauthorized: false });
  onTestFinished(async () => {
    client.destroy();
    for (const connection of connections) connection.destroy();
    await closeServer(server);
  });
  return (question) => askHttp2(client, question);
}

function write(request: AnyRequest, response: AnyResponse): void {
  const { data } = sessionOf(request);
  data["count"] = Number(data["count"] ?? 0) + 1;
  response.end(String(data["count"]));
}

describe("a TLS connection of the server's own", () => {
  it.each([
    ["node:https", serveHttps],
    ["node:http2", serveHttp2Secure],
  ] as const)("carries the cookie on %s without any proxy being trusted", async (_name, serveSecure) => {
    const behind = backstage({ trustProxy: false });
    const ask = await serveSecure(nodeListener([behind.sessions], write, () => {}));
    const first = await ask({ path: "/" }).answer;
    const token = tokenIn(first);
    expect(first.cookies).toEqual([`${COOKIE}=${token}; Path=/; Secure; HttpOnly; SameSite=Lax`]);
    const second = await ask({ path: "/", headers: { cookie: `${COOKIE}=${token}` } }).answer;
    expect([second.body.toString(), second.cookies]).toEqual(["2", []]);
    expect(await dataOf(behind, token)).toEqual({ count: 2 });
  });

  it("carries the cookie on Express without any proxy being trusted", async () => {
    const behind = backstage({ trustProxy: false });
    const app = makeExpress5();
    app.use(expressSession(behind.sessions));
    app.use((request, response) => write(request, response));
    const ask = await serveHttps(listenerOf(app));
    expect(tokenIn(await ask({ path: "/" }).answer)).not.toBe("");
  });
});

/** A request as a server behind a proxy sees it. */
function from(remoteAddress: string | undefined): NodeRequest {
  return { headers: { "x-forwarded-proto": "https" }, socket: { remoteAddress, encrypted: false } };
}

describe("what a Node request says of its connection", () => {
  it.each([
    [["10.0.0.0/8"], "10.1.2.3", true],
    [["10.0.0.0/8"], "::ffff:10.1.2.3", true],
    [["10.0.0.0/8"], "11.0.0.1", false],
    [["10.0.0.0/8"], "::ffff:11.0.0.1", false],
    [["10.1.2.3"], "10.1.2.3", true],
    [["10.1.2.3"], "10.1.2.4", false],
    [["::ffff:10.0.0.0/104"], "10.1.2.3", true],
    [["fd00::/8"], "fd12::1", true],
    [["fd00::/8"], "fe80::1", false],
    [["fe80::/10"], "fe80::1%eth0", true],
    [["::1"], "::1", true],
    [["0.0.0.0/0"], "203.0.113.9", true],
    [["0.0.0.0/0"], "2001:db8::1", false],
    [["10.0.0.0/8"], undefined, false],
    [["10.0.0.0/8"], "", false],
    [["10.0.0.0/8"], "not an address", false],
  ] as const)("with the proxies %j, a peer %s is trusted: %s", (trusted, peer, expected) => {
    expect(connectionReader([...trusted])(from(peer)).secure).toBe(expected);
  });

  it.each([
    ["127.0.0.1", true],
    ["127.9.9.9", true],
    ["::1", true],
    ["::ffff:127.0.0.1", true],
    ["10.0.0.1", false],
    ["::ffff:10.0.0.1", false],
    [undefined, false],
  ])("takes the peer %s for this machine: %s", (peer, expected) => {
    expect(connectionReader(false)(from(peer)).loopback).toBe(expected);
  });
});
