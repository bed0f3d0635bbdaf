/** Tokens signed by the right key that name no session of theirs: what a token says of a session is checked, too. */
import { randomBytes } from "node:crypto";
import type { IssuedTokens } from "symbolon/jwt";
import { beforeAll, describe, expect, it } from "vitest";
import type { Stage } from "../support/jwt-cases/index.ts";
import { type ManagerDoor, managerDoor } from "../support/jwt-doors.ts";
import { untyped } from "../support/sessions.ts";

interface World {
  readonly stage: Stage;
  /** Another session of the user, and one of somebody else. */
  readonly second: IssuedTokens;
  readonly others: IssuedTokens;
}

type Build = (world: World) => string;

/** The genuine `jti` with bytes written over: handle at 0, generation at 21. */
function overwritten({ claims }: Stage, at: number, bytes: Buffer): string {
  const jti = Buffer.from(claims["jti"] as string, "base64url");
  bytes.copy(jti, at);
  return jti.toString("base64url");
}

const handleOf = (jti: string): string => Buffer.from(jti, "base64url").toString("base64url", 0, 18);

/** Refused by what the token says alone. */
const UNREADABLE: Readonly<Record<string, Build>> = {
  "the sid of another session": ({ stage, second }) => stage.signed({}, { sid: second.claims.sid }),
  "the jti of another session": ({ stage, second }) => stage.signed({}, { jti: second.claims.jti }),
  "the sid of another user's session": ({ stage, others }) => stage.signed({}, { sid: others.claims.sid }),
  "the jti of another user's session": ({ stage, others }) => stage.signed({}, { jti: others.claims.jti }),
  "the jti as sid": ({ stage }) => stage.signed({}, { sid: stage.claims["jti"] }),
  "the sid as jti": ({ stage }) => stage.signed({}, { jti: stage.claims["sid"] }),
  "a jti that is a word": ({ stage }) => stage.signed({}, { jti: "token" }),
  "a jti that is too long": ({ stage }) => stage.signed({}, { jti: `${String(stage.claims["jti"])}A` }),
  "a jti that is too short": ({ stage }) => stage.signed({}, { jti: String(stage.claims["jti"]).slice(0, -1) }),
  "a jti in the other alphabet": ({ stage }) => stage.signed({}, { jti: `+/${String(stage.claims["jti"]).slice(2)}` }),
  "a jti with a newline behind": ({ stage }) => stage.signed({}, { jti: `${String(stage.claims["jti"])}\n` }),
  "a jti that is the session's own token": ({ stage, second }) => stage.signed({}, { jti: second.refreshToken }),
  "a jti of __proto__": ({ stage }) => stage.signed({}, { jti: "__proto__" }),
  "a jti of a path": ({ stage }) => stage.signed({}, { jti: "../".repeat(14).concat("ab") }),
  "a jti and a sid under a key that there is not": ({ stage }) => {
    const jti = overwritten(stage, 0, randomBytes(2).fill(0xee));
    return stage.signed({}, { jti, sid: handleOf(jti) });
  },
};

/** Refused by the store, or by what is there: by right key and of the right form. */
const NEVER_ISSUED: Readonly<Record<string, readonly [Build, reason: string]>> = {
  "a session that never was": [
    ({ stage }) => {
      const jti = overwritten(stage, 2, randomBytes(16));
      return stage.signed({}, { jti, sid: handleOf(jti) });
    },
    "unknown",
  ],
  "another user in the session": [({ stage }) => stage.signed({}, { sub: "user-2" }), "unknown"],
  "the user in upper case": [({ stage }) => stage.signed({}, { sub: "USER-1" }), "unknown"],
  "another user's session whole, but for its user": [
    ({ stage, others }) => stage.signed({}, { ...others.claims, sub: "user-1" }),
    "unknown",
  ],
  "a token of the session that is still to come": [
    ({ stage }) => stage.signed({}, { jti: overwritten(stage, 21, Buffer.from([0, 0, 0, 9])) }),
    "replaced",
  ],
  "a token of the session before its first": [
    ({ stage }) => stage.signed({}, { jti: overwritten(stage, 21, Buffer.from([0xff, 0xff, 0xff, 0xff])) }),
    "replaced",
  ],
};

describe.each(["EdDSA", "ES256", "HS256", "HS512"] as const)("a well-signed token of %s", (alg) => {
  let door: ManagerDoor;
  let world: World;
  beforeAll(async () => {
    door = await managerDoor(alg, "pair");
    const second = await door.jwts.create({ userId: "user-1" });
    const others = await door.jwts.create({ userId: "user-2" });
    world = { stage: door.stage, second, others };
  });

  async function inspected(token: string): Promise<unknown> {
    door.calls.length = 0;
    const found = await door.jwts.inspect(token);
    return found.ok ? "taken" : found.reason;
  }

  it.each(Object.entries(UNREADABLE))("with %s opens nothing, ends nothing and asks no store", async (_, build) => {
    const token = build(world);
    expect(await inspected(token)).toBe("unknown");
    expect(await door.jwts.revoke(token)).toBeNull();
    expect(await door.jwts.userOf(token)).toBeNull();
    expect(door.calls).toEqual([]);
  });

  it.each(Object.entries(NEVER_ISSUED))("for %s opens nothing, with one read", async (_, [build, reason]) => {
    const before = door.heard.length;
    expect(await inspected(build(world))).toBe(reason);
    expect(door.calls).toEqual(["read"]);
    expect(door.heard.slice(before)).toEqual([]);
  });

  it("that says all of it as it is opens the session", async () => {
    expect(await inspected(world.stage.signed())).toBe("taken");
    expect(await door.sessions.count()).toBe(3);
  });
});

describe("a jti that somebody made up", () => {
  it("revokes nothing and asks no store, whatever it is", async () => {
    const { jwts, calls, sessions } = await managerDoor("EdDSA", "pair");
    for (const jti of ["", "x", "__proto__", "A".repeat(44), null, undefined, 1, {}, [], "\0".repeat(44)]) {
      expect(await untyped(jwts, "revoke", { jti })).toBeNull();
    }
    expect(calls).toEqual([]);
    expect(await sessions.count()).toBe(1);
  });
});
