/** How many steps any iteration of a Map or Set takes meanwhile: a measure of work that no clock disturbs. */
export async function stepsDuring(work: () => unknown): Promise<number> {
  let steps = 0;
  const restores: (() => void)[] = [];
  const count = (holder: object, name: PropertyKey) => {
    const original = Object.getOwnPropertyDescriptor(holder, name)!;
    const method: unknown = original.value;
    if (typeof method !== "function") throw new TypeError("not a method");
    Object.defineProperty(holder, name, {
      ...original,
      *value(this: unknown) {
        for (const one of { [Symbol.iterator]: () => Reflect.apply(method, this, []) as Iterator<unknown> }) {
          steps++;
          yield one;
        }
      },
    });
    restores.push(() => Object.defineProperty(holder, name, original));
  };
  for (const name of ["keys", "values", "entries", Symbol.iterator]) {
    count(Map.prototype, name);
    count(Set.prototype, name);
  }
  try {
    await work();
  } finally {
    for (const restore of restores) restore();
  }
  return steps;
}
