/** How many sessions there may be at once, and what gives way. The counting is the store's: `Admitting`. */
import { OptionsError } from "../errors.ts";
import { oneOf, refuseUnknown, wholeNumber } from "./checks.ts";
import { type AdmissionRules, canAdmit, type Store } from "./store.ts";

/** How many logged-in sessions may live at once. */
export interface Limits {
  /** Sessions of one user; default 100, false for any number. */
  readonly perUser?: number | false;
  /** Sessions of all users together; default any number. At this limit nobody gives way: the login is refused. */
  readonly total?: number;
  /**
   * What happens at `perUser`: the oldest session ends (`evict-oldest`, default), the one that was unused for longest
   * ends (`evict-idle`), the new one is refused with `SessionLimitError` (`reject`), or `create` hands back the user's
   * newest session with its token, as it is (`reuse`; needs `seal: 'server'`, and the record then holds the secret).
   */
  readonly onLimit?: "evict-oldest" | "evict-idle" | "reject" | "reuse";
}

/** Limits with names, for `limits`. */
export const limitPresets: {
  readonly newestWins: Limits;
  readonly firstWins: Limits;
  readonly sameAgain: Limits;
  readonly onlyOne: Limits;
} = {
  /** One session per user; a new login ends the one before. */
  newestWins: { perUser: 1, onLimit: "evict-oldest" },
  /** One session per user; while it lives, a new login is refused. */
  firstWins: { perUser: 1, onLimit: "reject" },
  /** One session per user; while it lives, `create` hands it back. */
  sameAgain: { perUser: 1, onLimit: "reuse" },
  /** One session in all: whoever comes first has it until it ends. */
  onlyOne: { total: 1, onLimit: "reject" },
};

/** Limits as they are applied; null when the store need not count. */
export type ResolvedLimits = Omit<AdmissionRules, "replacing"> | null;

const PER_USER = 100;

/** Checks `limits` against what the store can do and how data is sealed. */
export function resolveLimits(limits: Limits | undefined, store: Store, seal: "split" | "server"): ResolvedLimits {
  if (limits === undefined) {
    return canAdmit(store) ? { perOwner: PER_USER, total: null, onLimit: "evict-oldest" } : null;
  }
  refuseUnknown(limits, ["perUser", "total", "onLimit"], "limits.");
  const { perUser = PER_USER } = limits;
  const perOwner = perUser === false ? null : wholeNumber(perUser, 1, 1_000_000, "limits.perUser");
  const total = limits.total === undefined ? null : wholeNumber(limits.total, 1, 1_000_000_000, "limits.total");
  const onLimit = oneOf(limits.onLimit, ["evict-oldest", "evict-idle", "reject", "reuse"], "limits.onLimit");
  if (onLimit === "reuse" && (seal !== "server" || perOwner === null)) {
    throw new OptionsError("limits.onLimit: 'reuse' needs seal: 'server' and a limit perUser.");
  }
  if (perOwner === null && total === null) return null;
  if (!canAdmit(store)) throw new OptionsError("limits: this store cannot count; see docs/stores.md.");
  return { perOwner, total, onLimit };
}
