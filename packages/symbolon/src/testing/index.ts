/** For tests: the contract of stores, a clock that stands still, and a store that fails on command. */
export { type FaultyStore, faultyStore, type HangOptions } from "./faulty-store.ts";
export { type ManualClock, manualClock } from "./manual-clock.ts";
export { type Ability, type ContractCase, type ContractContext, hasAbility, storeContract } from "./store-contract.ts";
