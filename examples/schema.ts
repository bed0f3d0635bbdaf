/** Data checked by a schema on every load and save, and data of an older shape brought up to date. */
import { createSessionManager, generateKey, isSymbolonError } from "symbolon";
import { memoryStore } from "symbolon/stores/memory";
import { z } from "zod"; // Or any other library of Standard Schemas.

// Strict, so that data of another shape is refused and upgraded, instead of losing what the schema does not name.
const Shop = z.strictObject({
  cart: z.record(z.string(), z.number().int().positive()).default({}),
  currency: z.enum(["EUR", "USD"]).default("EUR"),
});

const store = memoryStore();
const keys = [generateKey()];

// Last year's program kept a list of items, and had no schema.
const old = createSessionManager<{ items: string[] }>({ store, keys });
const { token } = await old.create({ data: { items: ["tea", "tea", "cup"] } });
await old.close();

const sessions = createSessionManager({
  store,
  keys,
  schema: Shop, // Gives `session.data` its type, and new sessions their defaults.
  upgrade(data) {
    const cart: Record<string, number> = {};
    for (const item of Array.isArray(data["items"]) ? data["items"] : []) cart[item] = (cart[item] ?? 0) + 1;
    return { cart };
  },
});

const fresh = await sessions.create();
console.log(`New: ${JSON.stringify(fresh.data)}`);

const session = await sessions.validate(token);
console.log(`Upgraded: ${JSON.stringify(session?.data)}`);

if (session !== null) session.data.cart["cup"] = -3;
try {
  await session?.save();
} catch (error) {
  if (!isSymbolonError(error)) throw error;
  console.log(`Refused: ${error.message}`);
}
await sessions.close();
