/** Verified tokens are remembered under all of their text, and not a moment longer than they are good. */
import { beforeEach, describe, expect, it, onTestFinished } from "vitest";
import { forge, forgeKey } from "../support/jwt-forge.ts";
import {
  type ManagerDoor,
  managerDoor,
  SIGNING,
  type VerifierDoor,
  verifierDoor,
  watchLibrary,
} from "../support/jwt-doors.ts";

const ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

/** The token with one character changed, at every place. */
function changed(token: string): string[] {
  return Array.from(token, (character, at) => {
    const other = ALPHABET.charAt((ALPHABET.indexOf(character) + 1) % 64);
    return token.slice(0, at) + other + token.slice(at + 1);
  });
}

describe.each(SIGNING)("a remembered token of %s", (alg) => {
  let door: ManagerDoor;
  let known: string;
  beforeEach(async () => {
    door = await managerDoor(alg, "pair");
    known = door.stage.token;
    expect(await door.jwts.userOf(known)).toBe("user-1");
    expect(await door.jwts.userOf(known)).toBe("user-1");
    door.calls.length = 0;
  });

  it("is not asked of the library again, as one is that was not remembered", async () => {
    const library = watchLibrary();
    onTestFinished(() => library.stop());
    expect(await door.jwts.userOf(known)).toBe("user-1");
    expect(library.hasSeen(known)).toBe(false);
    const other = door.stage.signed({}, { x: 1 });
    expect(await door.jwts.userOf(other)).toBe("user-1");
    expect(library.hasSeen(other)).toBe(true);
  });

  it("vouches for no other, whichever character is another", async () => {
    for (const one of changed(known)) expect(await door.jwts.userOf(one)).toBeNull();
    expect(door.calls).toEqual([]);
    expect(await door.jwts.userOf(known)).toBe("user-1");
  });

  it("vouches for no other that begins or ends as it does", async () => {
    for (const one of [`${known}A`, `A${known}`, known.slice(0, -1), `${known} `, `${known}\ud800`, `${known}.`]) {
      expect(await door.jwts.userOf(one)).toBeNull();
    }
    expect(door.calls).toEqual([]);
  });

  it("is looked up in the store each time, and refused at once when its session has ended", async () => {
    expect(await door.jwts.inspect(known)).toMatchObject({ ok: true });
    expect(door.calls).toEqual(["read"]);
    expect(await door.jwts.revoke(known)).toBe("user-1");
    expect(await door.jwts.inspect(known)).toMatchObject({ ok: false, reason: "ended" });
  });

  it("is refused from the moment it expires", async () => {
    const { exp } = door.stage.claims;
    door.clock.set(exp * 1000 - 1);
    expect(await door.jwts.userOf(known)).toBe("user-1");
    door.clock.set(exp * 1000);
    expect(await door.jwts.inspect(known)).toEqual({ ok: false, reason: "expired" });
  });

  it("is refused while a clock that was put back has not reached its beginning", async () => {
    door.clock.advance(-5001);
    expect(await door.jwts.inspect(known)).toEqual({ ok: false, reason: "not-yet-valid" });
  });

  it("is refused once its key is removed, and by a key of the same name", async () => {
    const { key, other, header } = door.stage;
    door.jwts.setKeys([other.jwk]);
    expect(await door.jwts.inspect(known)).toEqual({ ok: false, reason: "unknown-key" });
    const impostor = forgeKey(alg);
    door.jwts.setKeys([{ ...impostor.jwk, kid: key.kid }, other.jwk]);
    expect(await door.jwts.inspect(known)).toEqual({ ok: false, reason: "bad-signature" });
    expect(await door.jwts.userOf(forge(impostor, header, door.stage.claims))).toBe("user-1");
    door.jwts.setKeys([key.jwk, other.jwk]);
    expect(await door.jwts.userOf(known)).toBe("user-1");
  });

  it("is refused when another key of the same name takes the place of its own while it is looked at", async () => {
    const { key, other, signed } = door.stage;
    const looking = door.jwts.inspect(signed({}, { x: 1 }));
    door.jwts.setKeys([{ ...forgeKey(alg).jwk, kid: key.kid }, other.jwk]);
    expect(await looking).toEqual({ ok: false, reason: "unknown-key" });
  });

  it("is not remembered when its key is removed while it is looked at", async () => {
    const { other, signed } = door.stage;
    const fresh = signed({}, { x: 1 });
    const looking = door.jwts.inspect(fresh);
    door.jwts.setKeys([other.jwk]);
    expect(await looking).toEqual({ ok: false, reason: "unknown-key" });
    expect(await door.jwts.inspect(fresh)).toEqual({ ok: false, reason: "unknown-key" });
  });

  it("has claims that nobody can change for the next who asks", async () => {
    const first = await door.jwts.inspect(known);
    const claims = first.ok ? first.claims : expect.fail("The token opens nothing.");
    expect(() => Object.assign(claims, { sub: "user-2" })).toThrow(TypeError);
    expect(() => (claims.auth as string[]).push("admin")).toThrow(TypeError);
    expect(await door.jwts.inspect(known)).toMatchObject({ ok: true, claims: { sub: "user-1", auth: ["reader"] } });
  });
});

describe("a verifier", () => {
  let door: VerifierDoor;
  beforeEach(() => {
    door = verifierDoor("EdDSA");
  });

  const reasonOf = async (token: string): Promise<string> => {
    const found = await door.verifier.verify(token);
    return found.ok ? "taken" : found.reason;
  };

  it("vouches for no token by another, nor for a remembered one beyond its time", async () => {
    const { token, claims } = door.stage;
    expect([await reasonOf(token), await reasonOf(token)]).toEqual(["taken", "taken"]);
    for (const one of changed(token)) expect(await reasonOf(one)).not.toBe("taken");
    door.clock.set(claims.exp * 1000 + 4999);
    expect(await reasonOf(token)).toBe("taken");
    door.clock.advance(1);
    expect(await reasonOf(token)).toBe("expired");
  });

  it("forgets what it knew when the keys are replaced, and keeps it when they are refused", async () => {
    const { token, other } = door.stage;
    expect(await reasonOf(token)).toBe("taken");
    expect(() => door.verifier.setKeys({ keys: [] })).toThrow("keys: there is no key to verify with.");
    expect(await reasonOf(token)).toBe("taken");
    door.verifier.setKeys({ keys: [other.shared ?? expect.fail("There is no public half.")] });
    expect(await reasonOf(token)).toBe("unknown-key");
  });

  it("remembers no more than it is told to, and every token is told apart when there are many", async () => {
    const few = verifierDoor("EdDSA", 4);
    const tokens = Array.from({ length: 50 }, (_, n) => few.stage.signed({}, { sub: `user-${n}` }));
    for (let round = 0; round < 3; round++) {
      for (const [n, token] of tokens.entries()) {
        expect(await few.verifier.verify(token)).toMatchObject({ ok: true, claims: { sub: `user-${n}` } });
      }
    }
  });
});
