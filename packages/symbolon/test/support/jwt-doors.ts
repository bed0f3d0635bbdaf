/** What takes JWTs, each with a genuine one: for tests of what is refused. */
import { createServer, type Server } from "node:net";
import type { SessionManager } from "symbolon";
import { createJwtSessionManager, createJwtVerifier, type JwtSessionManager, type JwtVerifier } from "symbolon/jwt";
import { memoryStore } from "symbolon/stores/memory";
import { type ManualClock, manualClock } from "symbolon/testing";
import { vi } from "vitest";
import type { Stage } from "./jwt-cases/index.ts";
import { type ForgedAlgorithm, type ForgeKey, forge, forgeKey } from "./jwt-forge.ts";
import { listen, manager } from "./sessions.ts";
import { spied } from "./stores.ts";

export const ISSUER = "https://id.example";
export const AUDIENCE = "https://api.example";

export const VARIANTS = ["pair", "single", "offline"] as const;
export const SIGNING = ["EdDSA", "ES256", "HS256", "HS512"] as const satisfies readonly ForgedAlgorithm[];
export const VERIFYING = ["EdDSA", "ES256", "ES384", "RS256", "PS256"] as const satisfies readonly ForgedAlgorithm[];

/** How a manager issues tokens and looks at them. */
export type Variant = (typeof VARIANTS)[number];

/** A manager of JWT sessions with one session, and all that could show that something happened. */
export interface ManagerDoor {
  readonly alg: ForgedAlgorithm;
  readonly variant: Variant;
  readonly jwts: JwtSessionManager;
  readonly sessions: SessionManager;
  readonly clock: ManualClock;
  readonly stage: Stage;
  /** Calls to the store. */
  readonly calls: string[];
  /** Events raised. */
  readonly heard: readonly { readonly type: string }[];
}

/** A manager with a key of an algorithm, and a session of `user-1`. */
export async function managerDoor(alg: ForgedAlgorithm, variant: Variant, remember = 4096): Promise<ManagerDoor> {
  const clock = manualClock();
  const { store, calls } = spied(memoryStore());
  const sessions = manager({ store, clock, seal: "server" });
  const [key, other] = [forgeKey(alg), forgeKey(alg === "EdDSA" ? "HS256" : "EdDSA")];
  const jwts = createJwtSessionManager({
    sessions,
    issuer: ISSUER,
    audience: AUDIENCE,
    signing: [key.jwk, other.jwk],
    tokens: variant === "single" ? "single" : "pair",
    verification: variant === "offline" ? "offline" : "stateful",
    remember,
  });
  const { accessToken, claims } = await jwts.create({ userId: "user-1", roles: ["reader"] });
  const stage = { ...stageOf(key, other, { ...claims }, clock), token: accessToken };
  calls.length = 0;
  return { alg, variant, jwts, sessions, clock, stage, calls, heard: listen(sessions) };
}

/** A verifier with a key of an algorithm. */
export interface VerifierDoor {
  readonly alg: ForgedAlgorithm;
  readonly verifier: JwtVerifier;
  readonly clock: ManualClock;
  readonly stage: Stage;
}

export function verifierDoor(alg: ForgedAlgorithm, remember = 4096): VerifierDoor {
  const clock = manualClock();
  const [key, other] = [forgeKey(alg), forgeKey(alg === "EdDSA" ? "ES256" : "EdDSA")];
  const keys = { keys: [key, other].flatMap(({ shared }) => shared ?? []) };
  const verifier = createJwtVerifier({
    issuer: ISSUER,
    audience: AUDIENCE,
    keys,
    clock,
    maxTtl: "10m",
    tolerance: "5s",
    remember,
  });
  const now = Math.floor(clock.now() / 1000);
  const claims = { iss: ISSUER, aud: AUDIENCE, sub: "user-1", sid: "session", jti: "token", auth: ["reader"] };
  const stage = stageOf(key, other, { ...claims, iat: now, exp: now + 600 }, clock);
  return { alg, verifier, clock, stage: { ...stage, behind: 5 } };
}

function stageOf(key: ForgeKey, other: ForgeKey, claims: Stage["claims"], clock: ManualClock): Stage {
  const header = { alg: key.alg, kid: key.kid, typ: "sess+jwt" };
  return {
    key,
    other,
    header,
    claims,
    token: forge(key, header, claims),
    now: Math.floor(clock.now() / 1000),
    behind: 0,
    trap: trapUrl,
    signed: (more, others) => forge(key, { ...header, ...more }, { ...claims, ...others }),
    spelt: (ownHeader, ownClaims) => forge(key, ownHeader ?? header, ownClaims ?? claims),
  };
}

let trapUrl = "http://127.0.0.1:1";

/** Listens where tokens point to, and counts who comes. */
export async function openTrap(): Promise<{ readonly visits: () => number; close(): Promise<void> }> {
  let visits = 0;
  const server = createServer((socket) => {
    visits++;
    socket.destroy();
  });
  trapUrl = `http://127.0.0.1:${await listening(server)}`;
  return { visits: () => visits, close: () => new Promise((done) => server.close(() => done())) };
}

async function listening(server: Server): Promise<number> {
  for (;;) {
    const port = 17_000 + Math.floor(Math.random() * 15_000);
    const isOpen = await new Promise<boolean>((done) => {
      server.once("error", () => done(false));
      server.listen(port, "127.0.0.1", () => done(true));
    });
    if (isOpen) return port;
  }
}

/** Whether the library that verifies signatures was given a token: the first thing it does is to split it. */
export function watchLibrary(): { readonly hasSeen: (token: unknown) => boolean; forget(): void; stop(): void } {
  const split = vi.spyOn(String.prototype, "split");
  const verify = vi.spyOn(crypto.subtle, "verify");
  const importKey = vi.spyOn(crypto.subtle, "importKey");
  const spies = [split, verify, importKey];
  return {
    hasSeen: (token) =>
      split.mock.contexts.some((text: unknown) => String(text) === token) ||
      verify.mock.calls.length > 0 ||
      importKey.mock.calls.length > 0,
    forget: () => spies.forEach((spy) => spy.mockClear()),
    stop: () => spies.forEach((spy) => spy.mockRestore()),
  };
}
