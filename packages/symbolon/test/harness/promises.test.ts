/** The checker finds what it is there for: histories written by hand, with and without a broken promise. */
import { describe, expect, it } from "vitest";
import type { Answer, Entry, History, Section } from "./history.ts";
import { GRACE_MS, type Kind, LEASE_MS } from "./plan.ts";
import { faultsOf, type Promised } from "./promises.ts";

let numbers = 1;

/** An operation of client 0 at an instant; it takes 10 µs, and opens and closes in that time. */
function entry(does: Kind, at: number, told: Partial<Answer & Pick<Entry, "presented" | "session">> = {}): Entry {
  const number = numbers++;
  const opening = { at, from: at * 1000, until: at * 1000 + 4 };
  const closing = { at, from: at * 1000 + 5, until: at * 1000 + 10 };
  return {
    operation: { number, does, client: 0, process: 0, takes: 0, holds: 0 },
    user: "user",
    presented: null,
    session: null,
    opening,
    ...(REQUESTS.has(does) && { closing }),
    ...told,
  };
}

const REQUESTS: ReadonlySet<Kind> = new Set(["login", "logout", "read", "write", "append", "rotate"]);

/** A request in session S with a token. */
function inside(does: Kind, at: number, presented: string, told: Partial<Answer> = {}): Entry {
  return entry(does, at, { presented, found: "S", saw: {}, ...told });
}

function refused(does: Kind, at: number, presented: string, reason: string): Entry {
  return entry(does, at, { presented, refused: reason });
}

function append(at: number, wrote: (own: number) => readonly number[], told: Partial<Answer> = {}): Entry {
  const made = inside("append", at, "t0", { outcome: "saved", ...told });
  return { ...made, wrote: wrote(made.operation.number) };
}

/** As it is found in the end, by one process. */
function look(at: number, found: readonly string[], counted = found.length): Entry {
  return entry("look", at, { look: { found, listed: found, counted } });
}

function section(at: number, until: number, fence: number, isLost = false): Entry {
  const [asked, entered, left, freed] = [at * 1000, at * 1000 + 1, until * 1000, until * 1000 + 1];
  const made: Section = { fence, asked, entered, left, freed, enteredAt: at, freedAt: at, isLost };
  return entry("section", at, { section: made });
}

const login = entry("login", 0, { begun: "S", given: "t0" });
const logout = inside("logout", 10, "t0", { isCleared: true });
const rotated = inside("read", 10, "t0", { given: "t1" });
const arrived = inside("read", 11, "t1");

function history(...entries: readonly Entry[]): History {
  const settings = { every: "request", grace: GRACE_MS, seal: "split" } as const;
  return { plan: { seed: 0, settings, users: [0], hasThief: false, rounds: [] }, entries: [login, ...entries] };
}

describe("nothing is wrong with", () => {
  it.each<[what: string, entries: readonly Entry[]]>([
    ["a session that goes on", [inside("read", 1, "t0"), look(2, ["S"])]],
    ["a logout that somebody sees", [logout, refused("read", 11, "t0", "ended"), look(12, [])]],
    ["a write under way when the session ends", [inside("write", 10, "t0", { outcome: "saved" }), logout]],
    ["a token that is replaced", [rotated, arrived, inside("read", 12, "t0", { given: "t1" })]],
    ["an old token that ends its session", [rotated, arrived, refused("read", 11 + GRACE_MS, "t0", "reuse-detected")]],
    [
      "one that was asked for",
      [inside("refresh", 10, "t0", { given: "t1" }), refused("read", 10 + GRACE_MS, "t0", "reuse-detected")],
    ],
    ["a lock that is handed on", [section(1, 2, 7), section(3, 4, 8)]],
    [
      "a lock whose holder stood still, and was told",
      [section(1, 2 + LEASE_MS, 7, true), section(1 + LEASE_MS, 3 + LEASE_MS, 8)],
    ],
  ])("%s", (_what, entries) => {
    expect(faultsOf(history(...entries))).toEqual([]);
  });
});

describe("it is found that", () => {
  it.each<[what: string, promised: Promised, entries: readonly Entry[]]>([
    ["an update was lost", "no update is lost", [append(1, (own) => [own]), append(2, (own) => [own])]],
    ["a read came too late", "no update is lost", [append(1, (own) => [own]), inside("read", 2, "t0")]],
    ["a session outlived its logout", "an ended session stays ended", [logout, inside("read", 11, "t0")]],
    [
      "a write outlived it",
      "an ended session stays ended",
      [logout, { ...inside("write", 9, "t0", { outcome: "saved" }), closing: arrived.closing! }],
    ],
    ["it came back", "an ended session stays ended", [logout, refused("read", 11, "t0", "ended"), look(12, ["S"])]],
    ["revoking did nothing", "an ended session stays ended", [entry("revoke", 1, { session: "S" }), look(2, ["S"])]],
    ["revoking all did nothing", "an ended session stays ended", [entry("revokeAll", 1), look(2, ["S"])]],
    [
      "the next login left it",
      "an ended session stays ended",
      [inside("login", 1, "t0", { begun: "T", given: "u0" }), look(2, ["S", "T"])],
    ],
    [
      "a response of an ended session carries a cookie",
      "an ended session stays ended",
      [logout, { ...inside("read", 9, "t0", { given: "t1", isGone: true }), closing: arrived.closing! }],
    ],
    [
      "a visitor was given a cookie",
      "an ended session stays ended",
      [logout, { ...refused("read", 11, "t0", "ended"), isCleared: true }],
    ],
    ["the count is wrong", "an ended session stays ended", [look(1, ["S"], 2)]],
    ["a session ended by itself", "a session ends only when it is ended", [refused("read", 1, "t0", "ended")]],
    ["a session was not there in the end", "a session ends only when it is ended", [look(1, [])]],
    ["a token has two successors", "a token has one successor", [rotated, inside("read", 10, "t0", { given: "t2" })]],
    ["its holder was not told the successor", "a token has one successor", [rotated, inside("read", 11, "t0")]],
    [
      "a good token was refused",
      "tokens are good for as long as they should be",
      [refused("read", 1, "t0", "wrong-secret")],
    ],
    [
      "a refresh gave nothing",
      "tokens are good for as long as they should be",
      [entry("refresh", 1, { presented: "t0" })],
    ],
    [
      "a late one counted as reused",
      "tokens are good for as long as they should be",
      [rotated, arrived, refused("read", 10 + GRACE_MS, "t0", "reuse-detected")],
    ],
    [
      "one counted as reused whose successor never came",
      "tokens are good for as long as they should be",
      [rotated, refused("read", 99 + GRACE_MS, "t0", "reuse-detected")],
    ],
    [
      "an old token was let in",
      "tokens are good for as long as they should be",
      [rotated, arrived, inside("read", 11 + GRACE_MS, "t0", { given: "t1" })],
    ],
    ["a lock had two holders", "a lock has one holder", [section(1, 5, 7), section(3, 8, 8)]],
    [
      "a holder who stood still was not told",
      "a lock has one holder",
      [section(1, 2 + LEASE_MS, 7), section(1 + LEASE_MS, 3 + LEASE_MS, 8)],
    ],
    ["a lock was lost too soon", "a lock has one holder", [section(1, LEASE_MS / 2, 7, true)]],
    ["a fence came twice", "a lock has one holder", [section(1, 2, 7), section(3, 4, 7)]],
    ["a fence went back", "a lock has one holder", [section(1, 2, 8), section(3, 4, 7)]],
    ["an operation failed", "every operation is answered", [entry("validate", 1, { failure: "Error" })]],
  ])("%s", (_what, promised, entries) => {
    expect(faultsOf(history(...entries)).map((fault) => fault.promised)).toContain(promised);
  });
});
