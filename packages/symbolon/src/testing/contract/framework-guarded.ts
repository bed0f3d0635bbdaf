/** What the cases of guards share: an application whose only page is guarded. */
import assert from "node:assert/strict";
import type { GuardCode } from "../../auth/guards.ts";
import type { CreateOptions } from "../../core/beginning.ts";
import type { Answer } from "./framework-client.ts";
import { assertPrivate, type Backstage, COOKIE, type Options, type Served, type Stage } from "./framework-stage.ts";
import type { Guarding, Handler } from "./framework-target.ts";

export type GuardName = "login" | "role" | "fresh" | "stamp" | "pending";
export const GUARD_NAMES: readonly GuardName[] = ["login", "role", "fresh", "stamp", "pending"];

export const GUARDS: Readonly<Record<GuardName, Guarding>> = {
  login: { choose: (from, options) => from.requireLogin(options) },
  role: { choose: (from, options) => from.requireRole(["admin", "owner"], options) },
  fresh: { choose: (from, options) => from.requireFresh("5m", options) },
  stamp: { choose: (from, options) => from.requireStamp(async () => "stamp-1", options) },
  pending: { choose: (from, options) => from.requirePending("second-factor", options) },
};

export type Beginning = CreateOptions<Record<string, unknown>>;

/** A session that every guard but `requirePending` lets pass. */
export const ADMIN: Beginning = { userId: "ada", roles: ["admin"], stamp: "stamp-1" };
export const PENDING: Beginning = { userId: "ada", pending: "second-factor", stamp: "stamp-1" };

export interface Guarded {
  readonly behind: Backstage;
  readonly served: Served;
  /** How often the handler behind the guard ran. */
  readonly reached: () => number;
}

export async function protect(
  { backstage, serve }: Stage,
  guarding: Guarding,
  options: Options = {},
): Promise<Guarded> {
  const behind = backstage(options);
  let count = 0;
  const secret: Handler = ({ respond }) => {
    count++;
    respond.send(200, "secret");
  };
  const served = await serve(behind, secret, guarding);
  return { behind, served, reached: () => count };
}

/** The Cookie header of a session begun elsewhere. */
export async function cookieOf({ sessions }: Backstage, beginning: Beginning): Promise<string> {
  const { token } = await sessions.create(beginning);
  return `${COOKIE}=${token}`;
}

/** Insists on the problem document of a refusal. */
export function assertGuarded(answer: Answer, code: GuardCode): void {
  const status = code === "role-required" ? 403 : 401;
  assert.deepEqual([answer.status, answer.headers.get("content-type")], [status, "application/problem+json"]);
  const { title, ...problem } = JSON.parse(answer.text) as Record<string, unknown>;
  assert.deepEqual(problem, { status, code });
  assert.match(String(title), /^[A-Z][\w ]+$/);
  assertPrivate(answer);
}
