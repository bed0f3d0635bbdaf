/**
 * Browsers with several tabs, slow requests, slow handlers and lost responses: none is ever logged out by a rotation
 * (DESIGN 8.4). Requests take less than the grace from the browser to the server; what happens after that may take long.
 */
import * as fc from "fast-check";
import { generateKey, type Session, type SessionManager } from "symbolon";
import { memoryStore } from "symbolon/stores/memory";
import { type ManualClock, manualClock } from "symbolon/testing";
import { describe, expect, it } from "vitest";
import { manager, type Options } from "../support/sessions.ts";
import { type Request, request, respond } from "../support/visits.ts";
import { propertyOptions } from "./seed.ts";

const USER = "user-1";
const SECOND = 1000;
const GRACE = 10 * SECOND;

/** What a handler does, at once and when it is done. */
const works: Readonly<Record<string, (session: Session) => unknown>> = {
  nothing: () => undefined,
  write: ({ data }) => void (data["n"] = Number(data["n"] ?? 0) + 1),
  save: async (session) => {
    session.data["saved"] = true;
    await session.save();
  },
  update: (session) => session.update((data) => void (data["count"] = Number(data["count"] ?? 0) + 1)),
  rotate: (session) => session.rotate(),
};
const work = fc.constantFrom(...Object.keys(works));

/** One request: when it is sent after the one before, how long it travels and is worked on, in ms. */
interface Trip {
  readonly after: number;
  readonly travel: number;
  readonly takes: number;
  readonly first: string;
  readonly last: string;
  readonly isLost: boolean;
  readonly through: number;
}

const trip: fc.Arbitrary<Trip> = fc.record({
  after: fc.oneof(fc.nat({ max: 2 * SECOND }), fc.nat({ max: 40 * SECOND })),
  travel: fc.oneof(fc.constant(0), fc.nat({ max: GRACE - 1 })),
  takes: fc.oneof(fc.constant(0), fc.nat({ max: SECOND }), fc.nat({ max: 60 * SECOND })),
  first: work,
  last: work,
  isLost: fc.boolean(),
  through: fc.nat({ max: 1 }),
});

interface Happening {
  readonly at: number;
  readonly happen: () => Promise<void>;
}

/** A browser, its cookie, and two processes on one store. */
class Journey {
  readonly #clock: ManualClock = manualClock();
  readonly #processes: readonly SessionManager[];
  readonly #plan: Happening[] = [];
  readonly heard: string[] = [];
  #cookie = "";
  increments = 0;

  constructor(options: Options) {
    const shared = { store: memoryStore(), keys: [generateKey()], clock: this.#clock, ...options };
    this.#processes = [manager(shared), manager(shared)];
    for (const process of this.#processes) process.on("*", ({ type }) => this.heard.push(type));
  }

  async travel(trips: readonly Trip[], about: object): Promise<void> {
    this.#cookie = (await this.#process(0).create({ userId: USER, data: { n: 0 }, ...about })).token;
    let at = this.#clock.now();
    for (const one of trips) {
      at += one.after;
      this.#schedule(at, () => this.#send(one));
    }
    for (let next = this.#plan.shift(); next !== undefined; next = this.#plan.shift()) {
      this.#clock.set(next.at);
      await next.happen();
    }
    await this.#arrive(await request(this.#process(0), this.#cookie), { takes: 0 } as Trip);
  }

  #process(at: number): SessionManager {
    const process = this.#processes[at];
    if (process === undefined) throw new Error("There are two.");
    return process;
  }

  /** What is scheduled for one instant happens in the order of the calls. */
  #schedule(at: number, happen: () => Promise<void>): void {
    const later = this.#plan.findIndex((one) => one.at > at);
    this.#plan.splice(later === -1 ? this.#plan.length : later, 0, { at, happen });
  }

  /** The cookie is that of now; the request arrives later. */
  async #send(one: Trip): Promise<void> {
    const sent = this.#cookie;
    this.#schedule(this.#clock.now() + one.travel, async () =>
      this.#arrive(await request(this.#process(one.through), sent), one),
    );
  }

  async #arrive(opened: Request, one: Trip): Promise<void> {
    const { session, refusal } = opened;
    if (session.userId !== USER) expect.fail(`An honest browser is refused: ${refusal?.reason}`);
    await this.#work(session, one.first);
    this.#schedule(this.#clock.now() + one.takes, async () => {
      await this.#work(session, one.last);
      const { token } = await respond(opened);
      if (token !== null && !one.isLost) this.#cookie = token;
    });
  }

  async #work(session: Session, name = "nothing"): Promise<void> {
    if (name === "update") this.increments++;
    await works[name]?.(session);
  }

  async count(): Promise<unknown> {
    const { session } = await request(this.#process(1), this.#cookie);
    return session.data["count"];
  }
}

const settings: Readonly<Record<string, Options & { readonly about?: object }>> = {
  "every 15 s": { rotation: { every: "15s" } },
  "every request": { rotation: { every: "request" } },
  "on demand only": { rotation: { every: false } },
  "every request, with a persistent cookie": { rotation: { every: "request" }, cookie: { persistent: true } },
  "every request, remembered": { rotation: { every: "request" }, about: { remember: true } },
  "every request, sealed for the server": { rotation: { every: "request" }, seal: "server" },
};

describe("an honest browser whose token rotates", () => {
  it.each(Object.entries(settings))(
    "%s, is never logged out, and loses nothing",
    async (_, { about = {}, ...options }) => {
      const lifetime = { idle: "12h", absolute: "24h" } as const;
      let rotations = 0;
      const property = fc.asyncProperty(fc.array(trip, { minLength: 5, maxLength: 50, size: "max" }), async (trips) => {
        const journey = new Journey({ lifetime, ...options });
        await journey.travel(trips, about);
        expect(journey.heard).not.toContain("reuse-detected");
        rotations += journey.heard.filter((type) => type === "rotated").length;
        expect(await journey.count()).toBe(journey.increments === 0 ? undefined : journey.increments);
      });
      await fc.assert(property, { numRuns: 100, interruptAfterTimeLimit: 8000, ...propertyOptions() });
      expect(rotations).toBeGreaterThan(50);
    },
  );
});
