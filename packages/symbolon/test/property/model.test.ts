/** Random commands by several clients through two managers on one store, against a model of what sessions promise. */
import * as fc from "fast-check";
import { createSessionManager, generateKey } from "symbolon";
import { memoryStore } from "symbolon/stores/memory";
import { sqliteStore } from "symbolon/stores/sqlite";
import { manualClock } from "symbolon/testing";
import { describe, expect, it } from "vitest";
import { sqliteFile } from "../support/sqlite.ts";
import { propertyOptions } from "./seed.ts";
import {
  ABSOLUTE,
  type Command,
  EVERY,
  GRACE,
  IDLE,
  type Model,
  type Real,
  request,
  run,
  SLACK,
  type Turn,
} from "./session-model.ts";
import type { FullStore } from "../support/stores.ts";

const command: fc.Arbitrary<Command> = fc.record({
  // Creating and using more often than ending keeps sessions around to go wrong.
  kind: fc.constantFrom(
    ...(Object.keys(run) as (keyof typeof run)[]),
    ...(["create", "create", "writeKey", "increment", "race", "tick", "tick", "tick"] as const),
    ...(["refresh", "refresh", "visit", "visit", "changeRoles", "changeRoles", "presentOld", "presentOld"] as const),
  ),
  at: fc.nat({ max: 4 }),
  through: fc.nat({ max: 1 }),
  value: fc.nat({ max: 99 }),
});

/** Runs that went wrong once. */
const REMEMBERED: readonly [Command[]][] = [
  // A late save of what was there before.
  [
    [
      { kind: "create", at: 1, through: 0, value: 0 },
      { kind: "saveAfterRefresh", at: 0, through: 0, value: 0 },
      { kind: "lateSave", at: 0, through: 0, value: 0 },
    ],
  ],
];

async function play(
  commands: readonly Command[],
  stores: readonly [FullStore, FullStore],
  space: number,
): Promise<void> {
  const clock = manualClock();
  const lifetime = { idle: IDLE, absolute: ABSOLUTE };
  const rotation = { every: EVERY, grace: GRACE };
  const namespace = `n${space}`;
  const options = { keys: [generateKey()], clock, lifetime, rotation, namespace, pruneEvery: false } as const;
  const managers = [
    createSessionManager({ ...options, store: stores[0] }),
    createSessionManager({ ...options, store: stores[1] }),
  ] as const;
  const real: Real = { clock, managers };
  const model: Model = { sessions: [], reused: [] };
  const reused: string[] = [];
  for (const sessions of managers) sessions.on("reuse-detected", ({ id }) => reused.push(id));
  for (const each of [...commands, { kind: "count", at: 0, through: 0, value: 0 } as const]) {
    const about = model.sessions[model.sessions.length - 1 - each.at];
    const sessions = managers[each.through === 0 ? 0 : 1];
    await run[each.kind]({ model, real, sessions, now: clock.now(), command: each, about });
  }
  expect(reused).toEqual(model.reused);
  // In the end every token opens what the model says, in both processes, and nothing once all time has passed.
  for (const sessions of managers) {
    for (const about of model.sessions) {
      const turn = {
        model,
        real,
        sessions,
        now: clock.now(),
        command: { kind: "validate", at: 0, through: 0, value: 0 },
        about,
      };
      await request(turn as Turn);
    }
  }
  clock.advance(ABSOLUTE + SLACK);
  for (const { token, old } of model.sessions) {
    for (const dead of [token, ...old]) expect(await managers[0].validate(dead)).toBeNull();
  }
}

describe("random commands by several clients through two managers", () => {
  it.each<[string, () => readonly [FullStore, FullStore], number]>([
    ["memory", sameMemory, 250],
    ["sqlite", twoConnections, 60],
  ])("find what the model of sessions says, on %s", async (_, open, numRuns) => {
    const stores = open();
    let space = 0;
    const property = fc.asyncProperty(fc.array(command, { minLength: 5, maxLength: 60, size: "max" }), (commands) =>
      play(commands, stores, space++),
    );
    const options = { numRuns, interruptAfterTimeLimit: 8000, examples: [...REMEMBERED] };
    await fc.assert(property, { ...options, ...propertyOptions() });
  });
});

function sameMemory(): readonly [FullStore, FullStore] {
  const store = memoryStore();
  return [store, store];
}

function twoConnections(): readonly [FullStore, FullStore] {
  const file = sqliteFile();
  return [sqliteStore(file.connect()), sqliteStore(file.connect())];
}
