/** The REST calls around plantdb's JWT sessions: login, logout, validation, refresh; docs/coming-from.md names this test. */
import { createSessionManager, generateKey } from "symbolon";
import { requireLogin, withSession } from "symbolon/frameworks/fetch";
import { claimsOf, createJwtSessionManager, generateJwtKey, type TokenResponse } from "symbolon/jwt";
import { memoryStore } from "symbolon/stores/memory";
import { describe, expect, it } from "vitest";

const jwts = createJwtSessionManager({
  sessions: createSessionManager({ store: memoryStore(), keys: [generateKey()], pruneEvery: false }),
  issuer: "plantdb-api",
  audience: "plantdb-client",
  signing: [await generateJwtKey("HS512")],
});

const passwords = new Map([["batman", "joker"]]);

interface Body {
  readonly username?: string;
  readonly password?: string;
  readonly refresh_token?: string;
}

async function login({ username, password }: Body): Promise<Response> {
  if (username === undefined || password === undefined) return new Response(null, { status: 400 });
  if (passwords.get(username) !== password) return new Response(null, { status: 401 });
  return Response.json((await jwts.create({ userId: username })).toResponse());
}

async function refresh({ refresh_token: token }: Body): Promise<Response> {
  if (token === undefined) return new Response(null, { status: 400 });
  const tokens = await jwts.refresh(token);
  return tokens === null ? new Response(null, { status: 401 }) : Response.json(tokens.toResponse());
}

const validation = withSession(
  jwts,
  requireLogin()((_request, session) => Response.json({ user: session.userId, claims: claimsOf(session) })),
);
const logout = withSession(
  jwts,
  requireLogin()(async (_request, session) => {
    await session.logout();
    return new Response();
  }),
);

function requestWith(token?: string): Request {
  const headers = new Headers(token === undefined ? {} : { Authorization: `Bearer ${token}` });
  return new Request("https://plants.example/", { method: "POST", headers });
}

async function loggedIn(): Promise<TokenResponse> {
  const answer = await login({ username: "batman", password: "joker" });
  return (await answer.json()) as TokenResponse;
}

/** The status, and what the client is asked for. */
function refusal({ status, headers }: Response): readonly [number, string | null] {
  return [status, headers.get("WWW-Authenticate")];
}

const MISSING = [401, 'Bearer realm="default"'];
const DEAD = [401, 'Bearer realm="default", error="invalid_token"'];

describe("plantdb's REST calls", () => {
  it("log in who knows the password, and begin no session for others", async () => {
    const before = await jwts.count();
    for (const [status, body] of [
      [400, {}],
      [400, { username: "batman" }],
      [401, { username: "batman", password: "wrong" }],
      [401, { username: "nobody", password: "joker" }],
    ] as const) {
      expect((await login(body)).status).toBe(status);
    }
    expect(await jwts.count()).toBe(before);
    expect(await loggedIn()).toMatchObject({ token_type: "Bearer", expires_in: 600 });
    expect(await jwts.count()).toBe(before + 1);
  });

  it("validate a token that is good, and ask for another where it is missing or dead", async () => {
    const { access_token: token } = await loggedIn();
    const answer = await validation(requestWith(token));
    expect(await answer.json()).toMatchObject({ user: "batman", claims: { sub: "batman", iss: "plantdb-api" } });
    expect(answer.headers.get("Cache-Control")).toBe("private, no-store");
    expect(refusal(await validation(requestWith()))).toEqual(MISSING);
    expect(refusal(await validation(requestWith("junk")))).toEqual(DEAD);
    expect(refusal(await validation(requestWith(`${token.slice(0, -4)}AAAA`)))).toEqual(DEAD);
  });

  it("refresh a token that is good, once, and no other", async () => {
    const first = await loggedIn();
    expect((await refresh({})).status).toBe(400);
    for (const token of ["", "junk", first.access_token]) {
      expect((await refresh({ refresh_token: token })).status).toBe(401);
    }
    const second = (await (await refresh({ refresh_token: first.refresh_token ?? "" })).json()) as TokenResponse;
    expect(refusal(await validation(requestWith(first.access_token)))).toEqual(DEAD);
    expect((await validation(requestWith(second.access_token))).status).toBe(200);
  });

  it("log out for good, and nobody without a token", async () => {
    const tokens = await loggedIn();
    expect(refusal(await logout(requestWith()))).toEqual(MISSING);
    expect((await logout(requestWith(tokens.access_token))).status).toBe(200);
    expect(refusal(await logout(requestWith(tokens.access_token)))).toEqual(DEAD);
    expect(refusal(await validation(requestWith(tokens.access_token)))).toEqual(DEAD);
    expect((await refresh({ refresh_token: tokens.refresh_token ?? "" })).status).toBe(401);
  });
});
