/** Keys of access tokens: replaced while requests go on, without a valid token refused or a retired key taken. */
import { generateKey } from "symbolon";
import {
  createJwtVerifier,
  generateJwtKey,
  type IssuedTokens,
  type JwtKey,
  type JwtSessionManager,
  type SigningAlgorithm,
  unsafeDecodeJwt,
} from "symbolon/jwt";
import { memoryStore } from "symbolon/stores/memory";
import { manualClock } from "symbolon/testing";
import { describe, expect, it } from "vitest";
import { AUDIENCE, foundBy, ISSUER, type JwtOptions, jwtsOver, refreshedBy } from "../support/jwt-sessions.ts";
import { manager } from "../support/sessions.ts";

const USER = "user-1";
const CLIENTS = 12;
const ROTATIONS = 3;

const clock = manualClock();

const kidOf = (token: string): unknown => unsafeDecodeJwt(token)?.header["kid"];

/** Two processes with the same keys, on one store. */
function processes(signing: readonly JwtKey[], options: JwtOptions = {}): [JwtSessionManager, JwtSessionManager] {
  const shared = { store: memoryStore(), keys: [generateKey()], clock };
  return [jwtsOver(manager(shared), { signing, ...options }), jwtsOver(manager(shared), { signing, ...options })];
}

/** Clients that validate and refresh without a pause, here and there, until they are told to stop. */
class Load {
  readonly #processes: readonly JwtSessionManager[];
  readonly #held: IssuedTokens[] = [];
  #isOver = false;
  /** Tokens of keys that were removed, with the process they are to be shown to. */
  #retired: { readonly token: string; readonly at: JwtSessionManager }[] = [];
  validations = 0;
  refusals = 0;

  constructor(all: readonly JwtSessionManager[]) {
    this.#processes = all;
  }

  async run(): Promise<void> {
    await Promise.all(Array.from({ length: CLIENTS }, (_, at) => this.#runClient(at)));
  }

  stop(): void {
    this.#isOver = true;
  }

  /** Settles when every client has tokens of this key. */
  async moved(kid: unknown): Promise<void> {
    const hasMoved = (): boolean =>
      this.#held.length === CLIENTS && this.#held.every(({ accessToken }) => kidOf(accessToken) === kid);
    while (!hasMoved()) await new Promise(setImmediate);
  }

  /** Settles when there were so many more validations. */
  async going(more: number): Promise<void> {
    const enough = this.validations + more;
    while (this.validations < enough) await new Promise(setImmediate);
  }

  tokens(): string[] {
    return this.#held.map(({ accessToken }) => accessToken);
  }

  retire(tokens: readonly string[], at: JwtSessionManager): void {
    this.#retired.push(...tokens.map((token) => ({ token, at })));
  }

  async #runClient(client: number): Promise<void> {
    let current = await this.#at(client).create({ userId: `user-${client}` });
    for (let step = client; !this.#isOver; step++) {
      this.#held[client] = current;
      this.#checkPublished(current.accessToken);
      const found = await foundBy(this.#at(step), current.accessToken);
      if (found !== `user-${client}`) throw new Error(`A valid token is refused: ${found}`);
      this.validations++;
      await this.#showRetired(step);
      if (step % 3 === 0) current = await refreshedBy(this.#at(step + 1), current.refreshToken);
    }
  }

  async #showRetired(step: number): Promise<void> {
    const { token, at } = this.#retired[step % Math.max(1, this.#retired.length)] ?? {};
    if (token === undefined || at === undefined) return;
    const found = await foundBy(at, token);
    if (found !== "unknown-key") throw new Error(`A retired key is taken: ${found}`);
    this.refusals++;
  }

  /** Whoever has fetched the public keys of any process knows that of every token that is in use. */
  #checkPublished(token: string): void {
    for (const { keys } of this.#processes.map((one) => one.jwks())) {
      if (keys.length > 0 && !keys.some(({ kid }) => kid === kidOf(token))) throw new Error("A kid is not published.");
    }
  }

  #at(step: number): JwtSessionManager {
    return this.#processes[step % 2] as JwtSessionManager;
  }
}

describe("keys that are replaced under load, in three steps", () => {
  const algorithms: readonly (readonly [SigningAlgorithm, number])[] = [
    ["EdDSA", 4096],
    ["EdDSA", 0],
    ["ES256", 4096],
    ["HS256", 4096],
    ["HS512", 0],
  ];
  it.each(algorithms)(
    "refuse no valid token, and take none of a retired key (%s, %i remembered)",
    async (alg, remember) => {
      const made = Array.from({ length: ROTATIONS + 1 }, () => generateJwtKey(alg));
      const [first, ...others] = (await Promise.all(made)) as [JwtKey, ...JwtKey[]];
      const all = processes([first], { remember });
      const load = new Load(all);
      const running = load.run();
      const rotate = async (): Promise<void> => {
        let old = first;
        for (const next of others) {
          await load.moved(old.kid);
          const before = load.tokens();
          for (const signing of [
            [old, next],
            [next, old],
          ]) {
            for (const process of all) {
              process.setKeys(signing);
              await load.going(CLIENTS);
            }
          }
          await load.moved(next.kid);
          for (const process of all) {
            process.setKeys([next]);
            load.retire(before, process);
            await load.going(CLIENTS);
          }
          old = next;
        }
      };
      try {
        await Promise.race([rotate(), running]);
      } finally {
        load.stop();
      }
      await running;
      expect(load.refusals).toBeGreaterThan(CLIENTS);
    },
  );
});

describe("keys that are replaced", () => {
  it("end what is under a removed one at once, also where it is being looked at or was before", async () => {
    const [old, next] = [await generateJwtKey(), await generateJwtKey()];
    for (const remember of [0, 4096]) {
      const [jwts] = processes([old], { remember });
      const seen = await jwts.create({ userId: USER });
      const fresh = await jwts.create({ userId: USER });
      expect(await foundBy(jwts, seen.accessToken)).toBe(USER);
      const looking = foundBy(jwts, fresh.accessToken);
      jwts.setKeys([next]);
      expect(await looking).toBe("unknown-key");
      expect(await foundBy(jwts, seen.accessToken)).toBe("unknown-key");
      expect(await jwts.revoke(seen.accessToken)).toBeNull();
      // The session goes on, under the new key.
      expect(await foundBy(jwts, (await refreshedBy(jwts, seen.refreshToken)).accessToken)).toBe(USER);
    }
  });

  it("by another of the same name end what was under that name", async () => {
    const old = await generateJwtKey();
    const next = { ...(await generateJwtKey()), kid: old.kid ?? "" };
    const [jwts] = processes([old]);
    const { accessToken } = await jwts.create({ userId: USER });
    expect(await foundBy(jwts, accessToken)).toBe(USER);
    jwts.setKeys([next]);
    expect(await foundBy(jwts, accessToken)).toBe("bad-signature");
  });

  it("may be of different algorithms", async () => {
    const keys = await Promise.all((["HS512", "ES256", "EdDSA", "HS256"] as const).map((alg) => generateJwtKey(alg)));
    const [jwts] = processes(keys);
    for (const key of keys) {
      jwts.setKeys([key, ...keys.filter((other) => other !== key)]);
      const { accessToken } = await jwts.create({ userId: USER });
      expect([kidOf(accessToken), await foundBy(jwts, accessToken)]).toEqual([key.kid, USER]);
    }
  });

  it.each<[string, unknown]>([
    ["none", []],
    ["no list", null],
    ["an undefined one", [undefined]],
    ["one twice", "twice"],
    ["a public one", "public"],
  ])("by %s change nothing", async (_, given) => {
    const key = await generateJwtKey();
    const { d: _secret, ...open } = key;
    const wrong = given === "twice" ? [key, key] : given === "public" ? [open] : given;
    const [jwts] = processes([key]);
    const { accessToken } = await jwts.create({ userId: USER });
    expect(() => jwts.setKeys(wrong as JwtKey[])).toThrow(expect.objectContaining({ code: "ERR_KEY_INVALID" }));
    expect([await foundBy(jwts, accessToken), jwts.jwks().keys[0]?.kid]).toEqual([USER, key.kid]);
    expect(kidOf((await jwts.create({ userId: USER })).accessToken)).toBe(key.kid);
  });

  it("are published before they sign, and until they are removed; secret ones never", async () => {
    const [old, next, secret] = [await generateJwtKey(), await generateJwtKey("ES256"), await generateJwtKey("HS256")];
    const [jwts] = processes([old]);
    const kids = (): unknown[] => jwts.jwks().keys.map(({ kid }) => kid);
    expect(kids()).toEqual([old.kid]);
    jwts.setKeys([old, next, secret]);
    expect(kids()).toEqual([old.kid, next.kid]);
    // Whoever fetched the document then verifies what is issued after the next step.
    const verifier = createJwtVerifier({ issuer: ISSUER, audience: AUDIENCE, keys: jwts.jwks(), clock });
    jwts.setKeys([next, old]);
    const { accessToken } = await jwts.create({ userId: USER });
    expect(await verifier.verify(accessToken)).toMatchObject({ ok: true });
    expect(JSON.stringify(jwts.jwks())).not.toMatch(/"(?:d|k|p|q|dp|dq|qi|oth)":/);
    jwts.setKeys([secret]);
    expect(jwts.jwks()).toEqual({ keys: [] });
  });
});
