/** All that is measured, in the order in which it is printed. */
import type { Measurement } from "../bench.ts";
import { calls } from "./calls.ts";
import { direct } from "./direct.ts";
import { http } from "./http.ts";
import { logout } from "./logout.ts";
import { lostUpdates } from "./lost-updates.ts";
import { memory } from "./memory.ts";
import { overhead } from "./overhead.ts";
import { owners } from "./owners.ts";
import { profile } from "./profile.ts";
import { prune } from "./prune.ts";
import { redis } from "./redis.ts";
import { retention } from "./retention.ts";
import { size } from "./size.ts";

export const MEASUREMENTS: readonly Measurement[] = [
  direct,
  overhead,
  retention,
  http,
  redis,
  calls,
  lostUpdates,
  logout,
  memory,
  prune,
  owners,
  size,
];

/** Those that run only when they are named. */
export const ON_DEMAND: readonly Measurement[] = [profile];
