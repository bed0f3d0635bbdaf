/** For tests: the contracts of stores and bindings, a clock that stands still, and a store that fails on command. */
export { type FaultyStore, faultyStore, type HangOptions } from "./faulty-store.ts";
export {
  type BodyStream,
  type Exchange,
  type FrameworkAbility,
  type FrameworkCase,
  frameworkContract,
  type FrameworkTarget,
  type Guarding,
  type GuardMakers,
  type Handler,
  type Respond,
  type ServedFramework,
} from "./framework-contract.ts";
export { type ManualClock, manualClock } from "./manual-clock.ts";
export { type Ability, type ContractCase, type ContractContext, hasAbility, storeContract } from "./store-contract.ts";
