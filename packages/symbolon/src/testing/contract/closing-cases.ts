/** Cases for stores that let go of what they opened. */
import { canClose } from "../../core/store.ts";
import { assertHolds, type ContractCase, createAll, newRecord, openWith } from "./contract-case.ts";

const needs = "close";

/** Stores that close pass these. */
export const closingCases: readonly ContractCase[] = [
  {
    name: "closes, and leaves other handles and what is stored alone",
    needs,
    async run(context) {
      const [first, second] = [await openWith(context, canClose), await openWith(context, canClose)];
      const [before, after] = [newRecord(), newRecord()];
      await createAll(first, [before]);
      await first.close();
      await assertHolds(second, before);
      await createAll(second, [after]);
      await assertHolds(second, after);
    },
  },
  {
    name: "may be closed twice",
    needs,
    async run(context) {
      const store = await openWith(context, canClose);
      await store.close();
      await store.close();
    },
  },
];
