/**
 * The contract of framework bindings as plain data, for any test runner:
 *
 * ```ts
 * for (const { name, needs, run } of frameworkContract) {
 *   if (needs.every((ability) => target.abilities.includes(ability))) test(name, () => run(target));
 * }
 * ```
 *
 * Cases ask over real sockets, and make their managers and stores themselves. Each rejects within half a minute when the
 * binding breaks it.
 */
import { anonymousCases } from "./contract/framework-anonymous-cases.ts";
import { csrfCases } from "./contract/framework-csrf-cases.ts";
import { frameworkFailureCases } from "./contract/framework-failure-cases.ts";
import { guardCases } from "./contract/framework-guard-cases.ts";
import { guardFailureCases } from "./contract/framework-guard-failure-cases.ts";
import { frameworkLockCases } from "./contract/framework-lock-cases.ts";
import { loginCases } from "./contract/framework-login-cases.ts";
import { logoutCases } from "./contract/framework-logout-cases.ts";
import { frameworkRaceCases } from "./contract/framework-race-cases.ts";
import { rotationCases } from "./contract/framework-rotation-cases.ts";
import { savingCases } from "./contract/framework-saving-cases.ts";
import { severalCases } from "./contract/framework-several-cases.ts";
import { streamCases } from "./contract/framework-stream-cases.ts";
import type { FrameworkCase } from "./contract/framework-target.ts";
import { tokenCases } from "./contract/framework-token-cases.ts";

export type {
  BodyStream,
  Exchange,
  FrameworkAbility,
  FrameworkCase,
  FrameworkTarget,
  Guarding,
  GuardMakers,
  Handler,
  Respond,
  ServedFramework,
} from "./contract/framework-target.ts";

/** Every case, in the order in which a new binding is best written; each stands alone. */
export const frameworkContract: readonly FrameworkCase[] = [
  ...anonymousCases,
  ...savingCases,
  ...frameworkFailureCases,
  ...loginCases,
  ...logoutCases,
  ...frameworkRaceCases,
  ...rotationCases,
  ...tokenCases,
  ...csrfCases,
  ...streamCases,
  ...guardCases,
  ...guardFailureCases,
  ...severalCases,
  ...frameworkLockCases,
];
