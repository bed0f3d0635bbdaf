/** Every hostile token at every front door: refused for its reason, by us, and nothing happens. */
import { readFileSync } from "node:fs";
import { openSession } from "symbolon";
import type { JwtRefusal, JwtSessionManager } from "symbolon/jwt";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { GENUINE_CASES, type HostileCase, HOSTILE_CASES, isFor, isLate } from "../support/jwt-cases/index.ts";
import {
  type ManagerDoor,
  managerDoor,
  openTrap,
  SIGNING,
  VARIANTS,
  type VerifierDoor,
  verifierDoor,
  VERIFYING,
  watchLibrary,
} from "../support/jwt-doors.ts";

const RULES = ["R-111", "R-112", "R-113", "R-114", "R-115", "R-116", "R-117", "R-119", "R-124"];

let trap: Awaited<ReturnType<typeof openTrap>>;
let library: ReturnType<typeof watchLibrary>;
let managers: ManagerDoor[] = [];
let verifiers: VerifierDoor[] = [];

beforeAll(async () => {
  trap = await openTrap();
  // Nothing remembered, so that every token is looked at.
  const made = SIGNING.flatMap((alg) => VARIANTS.map(async (variant) => managerDoor(alg, variant, 0)));
  managers = await Promise.all(made);
  verifiers = VERIFYING.map((alg) => verifierDoor(alg, 0));
  library = watchLibrary();
});

afterAll(async () => {
  library.stop();
  await trap.close();
});

/** Everything of a manager that takes an access token, as JavaScript would call it; and what came of it. */
async function presentEverywhere(
  { jwts, calls, heard }: ManagerDoor,
  token: unknown,
  one: HostileCase,
): Promise<unknown> {
  const call = (name: "inspect" | "validate" | "refresh" | "revoke" | "userOf"): unknown =>
    Reflect.apply(jwts[name], jwts, [token]);
  library.forget();
  return {
    inspect: await call("inspect"),
    validate: await call("validate"),
    refresh: await call("refresh"),
    userOf: await call("userOf"),
    // What has expired may still say what is to be ended; other values than texts name sessions.
    revoke: one.reason === "expired" || typeof token !== "string" ? null : await call("revoke"),
    request: await requested(jwts, token),
    isAsked: library.hasSeen(token),
    calls: calls.splice(0),
    heard: heard.length,
  };
}

/** Whom a request with a token is from, and the cookies it is answered with. */
async function requested(jwts: JwtSessionManager, token: unknown): Promise<unknown> {
  // Blanks around are no part of a header's value; other values than texts never come in one.
  const text = typeof token === "string" && token.length < 9000 ? token.replaceAll(/^\s|\s$/g, "~") : "";
  const opened = await openSession(jwts, { get: (name) => (name === "authorization" ? `Bearer ${text}` : undefined) });
  return [opened.session.state, await opened.commit()];
}

const refusal = (one: HostileCase): unknown => ({
  inspect: { ok: false, reason: one.reason },
  validate: null,
  refresh: null,
  userOf: null,
  revoke: null,
  request: ["anonymous", []],
  isAsked: isLate(one.reason, one),
  calls: [],
  heard: 0,
});

/** What a verifier makes of a token, and whether it asked the library. */
async function verified({ verifier, stage }: VerifierDoor, build: HostileCase["build"]): Promise<unknown> {
  const token = build(stage);
  library.forget();
  const found = await verifier.verify(token as string);
  return [found.ok ? found.claims.sub : found.reason, library.hasSeen(token)];
}

function verdict({ reason, verifier = reason, ...one }: HostileCase): [JwtRefusal | "user-1", boolean] {
  return verifier === null ? ["user-1", true] : [verifier, isLate(verifier, one)];
}

describe("a hostile token is refused, for the reason stated, by us where it can be, and nothing comes of it", () => {
  it.each(HOSTILE_CASES)("$rule, $reason: $name", async (one) => {
    for (const door of managers.filter(({ alg }) => isFor(one, alg))) {
      const answers = await presentEverywhere(door, one.build(door.stage), one);
      expect(answers, `${door.alg}, ${door.variant}`).toEqual(refusal(one));
    }
    for (const door of verifiers.filter(({ alg }) => isFor(one, alg))) {
      expect(await verified(door, one.build), `a verifier of ${door.alg}`).toEqual(verdict(one));
    }
  });

  it("at no door that has no case", () => {
    for (const alg of [...SIGNING, ...VERIFYING]) {
      const names = HOSTILE_CASES.filter((one) => isFor(one, alg)).map(({ name, rule }) => `${rule}: ${name}`);
      expect(new Set(names).size, `the names of cases for ${alg}`).toBe(names.length);
      expect(names.length).toBeGreaterThan(500);
    }
    expect([...new Set(HOSTILE_CASES.map(({ rule }) => rule))].toSorted()).toEqual(RULES);
  });

  it("and so is every text that is hostile to whatever takes a token", async () => {
    const file = new URL("../vectors/hostile-tokens.json", import.meta.url);
    const { cases } = JSON.parse(readFileSync(file, "utf8")) as { cases: readonly { token?: string }[] };
    for (const { jwts, calls } of managers) {
      for (const { token = null } of cases) {
        expect(await jwts.inspect(token as string)).toEqual({
          ok: false,
          reason: (token?.length ?? 0) > 8192 ? "too-large" : "malformed",
        });
        expect(await jwts.refresh(token as string)).toBeNull();
      }
      expect(calls).toEqual([]);
    }
    expect(cases.length).toBeGreaterThan(30);
  });

  it("and no connection is made to where it points", () => {
    expect(trap.visits()).toBe(0);
  });

  it("and the session is as it was: its token opens it, nobody heard of anything", async () => {
    for (const { jwts, stage, sessions, heard } of managers) {
      expect(await jwts.userOf(stage.token)).toBe("user-1");
      expect(await sessions.count()).toBe(1);
      expect(heard).toEqual([]);
    }
  });
});

describe("a token just inside the bounds is taken, after the library was asked", () => {
  it.each(GENUINE_CASES)("$rule: $name", async ({ build }) => {
    for (const { jwts, stage, alg, variant } of managers) {
      const token = build(stage) as string;
      library.forget();
      expect(await jwts.inspect(token), `${alg}, ${variant}`).toMatchObject({ ok: true, claims: { sub: "user-1" } });
      expect(library.hasSeen(token)).toBe(true);
      expect(await requested(jwts, token)).toEqual(["authenticated", []]);
    }
    for (const door of verifiers) expect(await verified(door, build), door.alg).toEqual(["user-1", true]);
  });
});
