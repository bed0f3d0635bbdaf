/**
 * The contract of `Store` and its abilities as plain data, for any test runner:
 *
 * ```ts
 * const store = await open();
 * for (const { name, needs, run } of storeContract) {
 *   if (hasAbility(store, needs)) test(name, () => run({ open }));
 * }
 * ```
 *
 * `open` gives one handle more on the same storage each time, and the storage is empty when a case starts.
 */
import { admissionCases } from "./contract/admission-cases.ts";
import { admissionCountCases } from "./contract/admission-count-cases.ts";
import { admissionRaceCases } from "./contract/admission-race-cases.ts";
import { byteAndTextCases } from "./contract/byte-and-text-cases.ts";
import { closingCases } from "./contract/closing-cases.ts";
import type { ContractCase } from "./contract/contract-case.ts";
import { endingCases } from "./contract/ending-cases.ts";
import { invalidationCases } from "./contract/invalidation-cases.ts";
import { lockedUpdateCases } from "./contract/locked-update-cases.ts";
import { lockingCases } from "./contract/locking-cases.ts";
import { ownerIndexCases } from "./contract/owner-index-cases.ts";
import { pruningCases } from "./contract/pruning-cases.ts";
import { raceCases } from "./contract/race-cases.ts";
import { recordCases } from "./contract/record-cases.ts";
import { replicationCases } from "./contract/replication-cases.ts";
import { tenantIndexCases } from "./contract/tenant-index-cases.ts";

export { type Ability, type ContractCase, type ContractContext, hasAbility } from "./contract/contract-case.ts";

/** Every case, in the order in which a new store is best written; each stands alone. */
export const storeContract: readonly ContractCase[] = [
  ...recordCases,
  ...endingCases,
  ...byteAndTextCases,
  ...raceCases,
  ...ownerIndexCases,
  ...admissionCases,
  ...admissionCountCases,
  ...admissionRaceCases,
  ...tenantIndexCases,
  ...pruningCases,
  ...lockingCases,
  ...lockedUpdateCases,
  ...invalidationCases,
  ...replicationCases,
  ...closingCases,
];
