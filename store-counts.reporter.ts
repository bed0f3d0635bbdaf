import { storeContract } from "symbolon/testing";
import type { Reporter, TestModule, TestSuite } from "vitest/node";

const CONTRACT = "packages/symbolon/test/contract/stores/";

/** Prints how much of the contract each store has passed: a line for every store over every client, by ability. */
export default class StoreCountsReporter implements Reporter {
  onTestRunEnd(modules: readonly TestModule[]): void {
    const suites = modules
      .filter(({ relativeModuleId }) => relativeModuleId.startsWith(CONTRACT))
      .flatMap(({ children }) => [...children.suites()]);
    const width = Math.max(...suites.map(({ name }) => plain(name).length));
    const lines = suites.map((suite) => `${plain(suite.name).padEnd(width)}  ${countsOf(suite)}`);
    if (lines.length > 0) console.log(["", ...lines.toSorted(), ""].join("\n"));
  }
}

function countsOf(suite: TestSuite): string {
  const states = { passed: 0, failed: 0, skipped: 0, pending: 0 };
  const abilities = new Map<string, number>();
  for (const test of suite.children.allTests()) {
    const { state } = test.result();
    states[state]++;
    const ability = storeContract.find(({ name }) => name === test.name)?.needs ?? "its own";
    if (state === "passed") abilities.set(ability, (abilities.get(ability) ?? 0) + 1);
  }
  const failed = states.failed > 0 ? `, ${states.failed} failed` : "";
  const skipped = states.skipped + states.pending > 0 ? `, ${states.skipped + states.pending} skipped` : "";
  const byAbility = [...abilities].map(([ability, count]) => `${ability} ${count}`).join(", ");
  return `${states.passed} passed${failed}${skipped} (${byAbility})`;
}

/** The runner quotes what it puts into the name of a suite. */
function plain(name: string): string {
  return name.replaceAll("'", "");
}
