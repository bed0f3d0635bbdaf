/** One process of a history; `orders.ts` says what it is told, and what it answers. */
import type { Store } from "symbolon";
import type { Order, Reply, Start } from "./orders.ts";
import { Performer } from "./performer.ts";
import { loadTarget } from "./target.ts";

process.once("message", (start: Start) => void begin(start));
// Whoever started it is gone.
process.on("disconnect", () => process.exit());

async function begin({ target, where, key }: Start): Promise<void> {
  const handle = await (await loadTarget(target)).open(where);
  const performer = new Performer(withoutClose(handle.store), key);
  process.on("message", (order: Order) => void obey(order));
  reply({});

  async function obey(order: Order): Promise<void> {
    if (order.order === "end") {
      await handle.close();
      process.disconnect();
      return;
    }
    const { number } = order;
    if (order.order === "perform") reply({ number, answer: await performer.perform(number, order.call) });
    else reply({ number, answer: await performer.finish(order.held, order.now) });
  }
}

function reply(message: Reply): void {
  process.send?.(message);
}

function withoutClose(store: Store): Store {
  return Object.fromEntries(Object.entries(store).filter(([name]) => name !== "close")) as unknown as Store;
}
