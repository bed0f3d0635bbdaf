/** Whether a slow write brings a session back whose user logs out meanwhile. */
import type { Measurement } from "../bench.ts";
import { nameOf } from "../candidates/candidate.ts";
import { budget } from "../report.ts";

export const logout: Measurement = {
  name: "logout",
  what: "whether a slow write revives a session that is logged out meanwhile, for every candidate",

  async run(bench) {
    const rows: [string, string, string][] = [];
    for (const candidate of bench.candidates) {
      if (candidate.place === "nowhere") continue;
      const process = await bench.processOf(candidate);
      const { browser, copy } = await process.ask("logOutDuringWrite");
      rows.push([nameOf(candidate), answerTo(browser), answerTo(copy)]);
    }
    const revived = rows.filter(([name, ...answers]) => name.startsWith("Symbolon") && answers.includes("logged in"));
    return {
      about:
        "A request reads the session and takes its time; meanwhile another one logs out; then the first one changes the " +
        'session and answers. "the browser" has the cookies of both responses, "a copy" is the cookie of before. What ' +
        "clients carry whole cannot be taken back without a list of what ended: Symbolon's cookie is refused here by the " +
        "process that saw the logout, and by others only where it is given a store for revocations.",
      tables: [
        { title: "After the logout", columns: ["candidate", "the browser is", "a copy of the cookie is"], rows },
      ],
      budgets: [budget("sessions of Symbolon that are revived", 0, revived.length)],
    };
  },
};

function answerTo(isOpen: boolean): string {
  return isOpen ? "logged in" : "logged out";
}
