/** What a session of a benchmark holds. */
export interface Data {
  count: number;
  name: string;
  theme: string;
  cart: { sku: string; quantity: number }[];
  note: string;
}

export const NAME = "Ada Lovelace";

/** 300 bytes of JSON. */
export function makeData(): Data {
  const data = {
    count: 0,
    name: NAME,
    theme: "dark",
    cart: Array.from({ length: 4 }, (_, index) => ({ sku: `sku-${1000 + index}`, quantity: index })),
    note: "",
  };
  return { ...data, note: "n".repeat(300 - JSON.stringify(data).length) };
}
