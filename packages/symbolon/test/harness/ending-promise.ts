/** Logout wins (DESIGN 8.2), and nobody is logged out but by a logout. */
import type { Entry } from "./history.ts";
import type { Fault } from "./promises.ts";
import { deedOf, isRefusedAsDead, type Story } from "./stories.ts";

/** Somebody saw the session alive, or dead, at some time between. */
interface Sighting {
  readonly entry: Entry;
  readonly isLive: boolean;
  readonly from: number;
  readonly until: number;
}

export function endingFaults(story: Story): Fault[] {
  const sightings = [...story.presented, ...story.found, ...story.looks].flatMap((entry) => sightingsBy(entry, story));
  return [...revivals(story, sightings), ...uncausedEnds(story, sightings), ...lateCookies(story), ...miscounts(story)];
}

/** Once it was ended, or seen dead, nothing that begins later may see it alive. */
function revivals({ ends }: Story, sightings: readonly Sighting[]): Fault[] {
  const deaths = [
    ...ends.flatMap(({ entry, by }) => (by === null ? [] : [{ entry, by }])),
    ...sightings.filter(({ isLive }) => !isLive).map(({ entry, until }) => ({ entry, by: until })),
  ];
  const first = earliest(deaths, ({ by }) => by);
  if (first === null) return [];
  const revived = sightings.filter(({ isLive, from }) => isLive && from > first.by);
  return revived.map(({ entry }) => ({
    promised: "an ended session stays ended",
    what: "a session was alive after it had ended",
    entries: [first.entry, entry],
  }));
}

/** Nobody may see it dead before something could have ended it. */
function uncausedEnds({ ends, begun }: Story, sightings: readonly Sighting[]): Fault[] {
  const first = earliest(ends, ({ from }) => from);
  const uncaused = sightings.filter(({ isLive, until }) => !isLive && (first === null || until < first.from));
  return uncaused.map(({ entry }) => ({
    promised: "a session ends only when it is ended",
    what: "nothing had ended the session",
    entries: [begun, entry],
  }));
}

/** A response of a session that has ended tells its client nothing, but for one that ends or begins one itself. */
function lateCookies({ found, ends, presented }: Story): Fault[] {
  const by = Math.min(Infinity, ...ends.map((end) => end.by ?? Infinity));
  const late = found.filter((entry) => deedOf(entry).from > by && !["login", "logout"].includes(entry.operation.does));
  const visitors = presented.filter((entry) => entry.found === undefined && entry.operation.does !== "login");
  return [...late, ...visitors]
    .filter(({ given, isCleared }) => given !== undefined || isCleared === true)
    .map((entry) => ({
      promised: "an ended session stays ended",
      what: "a response carries a cookie though its session had ended",
      entries: [entry],
    }));
}

/** By handle, by list and by count a user has the same sessions. */
function miscounts({ looks }: Story): Fault[] {
  const wrong = looks.filter(({ look }) => {
    const [found, listed] = [look!.found.toSorted().join(), look!.listed.toSorted().join()];
    return found !== listed || look!.counted !== look!.listed.length;
  });
  return wrong.map((entry) => ({
    promised: "an ended session stays ended",
    what: "a user has other sessions by handle than by list or count",
    entries: [entry],
  }));
}

function sightingsBy(entry: Entry, { id }: Story): Sighting[] {
  const { opening, closing, outcome, isGone = false, found, look } = entry;
  if (look !== undefined) return [{ entry, isLive: look.found.includes(id), ...spanOf(opening) }];
  if (found !== id) return isRefusedAsDead(entry) ? [{ entry, isLive: false, ...spanOf(opening) }] : [];
  const sightings: Sighting[] = [{ entry, isLive: true, ...spanOf(opening) }];
  if (closing === undefined) return sightings;
  if (outcome === "saved") sightings.push({ entry, isLive: true, ...spanOf(closing) });
  if (outcome === "gone" || isGone) sightings.push({ entry, isLive: false, ...spanOf(closing) });
  return sightings;
}

function spanOf({ from, until }: { readonly from: number; readonly until: number }): { from: number; until: number } {
  return { from, until };
}

function earliest<T>(all: readonly T[], at: (one: T) => number): T | null {
  return all.reduce<T | null>((first, one) => (first === null || at(one) < at(first) ? one : first), null);
}
