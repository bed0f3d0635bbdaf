/** Access tokens as JWT, which end when the session ends; a client that refreshes them; a service that only has the JWKS. */
import { createSessionManager, generateKey } from "symbolon";
import { requireLogin, withSession } from "symbolon/frameworks/fetch";
import { createJwtSessionManager, createJwtVerifier, generateJwtKey, type TokenResponse } from "symbolon/jwt";
import { memoryStore } from "symbolon/stores/memory";
import { manualClock } from "symbolon/testing";

const clock = manualClock(); // So that ten minutes pass at once; leave it out otherwise
const issuer = "https://api.example";
const jwts = createJwtSessionManager({
  sessions: createSessionManager({ store: memoryStore(), keys: [generateKey()], clock }),
  issuer,
  audience: "shop",
  signing: [await generateJwtKey()], // In production: [process.env.JWT_KEY], that key as JSON
});

const whoami = withSession(
  jwts,
  requireLogin()((_request, session) => new Response(`Hello ${session.userId}`)),
);
const logout = withSession(
  jwts,
  requireLogin()(async (_request, session) => {
    await session.logout();
    return new Response();
  }),
);

/** The API: a handler of the Web's shape. */
async function handle(request: Request): Promise<Response> {
  switch (`${request.method} ${new URL(request.url).pathname}`) {
    case "POST /login": // After the check of the password, which is yours.
      return tokensAs((await jwts.create({ userId: await request.text() })).toResponse());
    case "POST /refresh": {
      const next = await jwts.refresh(await request.text());
      return next === null ? new Response(null, { status: 401 }) : tokensAs(next.toResponse());
    }
    case "POST /logout":
      return logout(request);
    case "GET /jwks.json":
      return Response.json(jwts.jwks());
    default:
      return whoami(request);
  }
}

function tokensAs(response: TokenResponse): Response {
  return Response.json(response, { headers: { "Cache-Control": "no-store" } });
}

/** A client: however many calls meet a dead access token, one of them refreshes it, and what is over stays over. */
class Client {
  refreshes = 0;
  #tokens: TokenResponse | null = null;
  #refreshing: Promise<TokenResponse | null> | null = null;

  async login(name: string): Promise<void> {
    this.#tokens = (await (await send("POST", "/login", name)).json()) as TokenResponse;
  }

  /** The token to show to others. */
  get accessToken(): string {
    return this.#tokens?.access_token ?? "";
  }

  async call(method: string, path: string): Promise<Response> {
    const used = this.#tokens;
    const answer = await send(method, path, null, used?.access_token);
    if (answer.status !== 401 || used === null) return answer;
    // Another call may have seen to it while this one was under way.
    const next = this.#tokens === used ? await this.#refresh(used) : this.#tokens;
    return next === null ? answer : send(method, path, null, next.access_token);
  }

  #refresh({ refresh_token: token = "" }: TokenResponse): Promise<TokenResponse | null> {
    this.#refreshing ??= (async () => {
      this.refreshes++;
      const answer = await send("POST", "/refresh", token);
      this.#tokens = answer.ok ? ((await answer.json()) as TokenResponse) : null; // 401 is final: ask for a login
      return this.#tokens;
    })().finally(() => {
      this.#refreshing = null;
    });
    return this.#refreshing;
  }
}

function send(method: string, path: string, body: string | null, token?: string): Promise<Response> {
  const headers = new Headers(token === undefined ? {} : { Authorization: `Bearer ${token}` });
  return handle(new Request(issuer + path, { method, headers, body }));
}

const ada = new Client();
await ada.login("ada");
console.log(`With the token: ${await (await ada.call("GET", "/")).text()}`);

// Another service takes the token by the public keys alone, until it expires.
const keys = (await (await send("GET", "/jwks.json", null)).json()) as ReturnType<typeof jwts.jwks>;
const service = createJwtVerifier({ issuer, audience: "shop", keys, clock });
const verified = await service.verify(ada.accessToken);
if (verified.ok) console.log(`The other service: ${verified.claims.sub}`);

// Ten minutes later the access token has expired. Twenty calls at once meet that, and one refresh serves all.
clock.advance(600_000);
const answers = await Promise.all(Array.from({ length: 20 }, () => ada.call("GET", "/")));
const succeeded = answers.filter(({ ok }) => ok);
console.log(`Twenty calls, of which the token had expired: ${succeeded.length} succeed, ${ada.refreshes} refresh`);

// An end is an end at once, also for access tokens that have not expired.
const stolen = ada.accessToken;
await ada.call("POST", "/logout");
const refused = await send("GET", "/", null, stolen);
console.log(`After the logout: ${refused.status} ${refused.headers.get("WWW-Authenticate")}`);
const takenUntil = (await service.verify(stolen)).ok ? "takes it until it expires" : "refuses it";
console.log(`The other service cannot know, and ${takenUntil}`);

// And no loop: the refused refresh is the last.
await ada.call("GET", "/");
await ada.call("GET", "/");
console.log(`${succeeded.length} calls went through, and there were ${ada.refreshes} refreshes in all`);
await jwts.sessions.close();
