/** Applications whose sessions are opened by access tokens. */
import { createSessionManager, type OpenOptions, type SessionManager } from "symbolon";
import type { IssuedTokens, JwtSessionManager } from "symbolon/jwt";
import { type ManualClock, manualClock } from "symbolon/testing";
import { onTestFinished } from "vitest";
import { jwtsOver, type JwtOptions } from "../../../support/jwt-sessions.ts";
import type { Guarding, Handler, Served, Target } from "./app.ts";
import { type Answer } from "./client.ts";
import { ask, type Backstage, backstage, type Options } from "./stage.ts";

export const ACCESS = "__Host-access";

/** Access tokens over sessions whose store can be watched. */
export interface JwtBackstage extends Backstage {
  readonly jwts: JwtSessionManager;
  readonly clock: ManualClock;
}

export function jwtBackstage(jwt: JwtOptions = {}, options: Options = {}): JwtBackstage {
  const clock = manualClock();
  const behind = backstage({ clock, ...options });
  return { ...behind, clock, jwts: jwtsOver(behind.sessions, jwt) };
}

/** Serves the application behind a binding of the JWT manager until the test is over. */
export async function serveJwt(
  target: Target,
  { jwts }: Pick<JwtBackstage, "jwts">,
  handler: Handler,
  guarding?: Guarding,
  options: OpenOptions = {},
): Promise<Served> {
  const served = await target.serve([jwts], handler, guarding, [options]);
  onTestFinished(() => served.close());
  return served;
}

/** The header that carries an access token. */
export function bearer(token: string | Pick<IssuedTokens, "accessToken">): { readonly authorization: string } {
  return { authorization: `Bearer ${typeof token === "string" ? token : token.accessToken}` };
}

/** Asks with an access token. */
export function askAs(served: Served, token: string | Pick<IssuedTokens, "accessToken">, path = "/"): Promise<Answer> {
  return ask(served, path, bearer(token));
}

/** Another process on the same store, with the same keys. */
export function elsewhere(options: Options & Pick<Required<Options>, "store" | "keys">): SessionManager {
  const sessions = createSessionManager({ pruneEvery: false, trustProxy: true, ...options });
  onTestFinished(() => sessions.close());
  return sessions;
}
