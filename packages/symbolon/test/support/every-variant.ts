/** Every kind of store that tests open by name, over every client and kind of server that is there. */
import { readdirSync } from "node:fs";
import { type Ability, hasAbility, storeContract } from "symbolon/testing";
import type { Target, Variant } from "./targets.ts";

/** One of them; `kind` is the name of its file in `test/targets`. */
export interface NamedVariant {
  readonly kind: string;
  readonly name: string;
  readonly target: Target;
  readonly variant: Variant;
  readonly url: string | null;
  readonly abilities: ReadonlySet<Ability>;
}

const ABILITIES = [...new Set(storeContract.map(({ needs }) => needs))];
const folder = new URL("../targets/", import.meta.url);
const kinds = readdirSync(folder).flatMap((file) => /^(.+)\.mjs$/.exec(file)?.[1] ?? []);

export const everyVariant: readonly NamedVariant[] = (await Promise.all(kinds.map(variantsOf))).flat();

async function variantsOf(kind: string): Promise<NamedVariant[]> {
  const target = (await import(`${folder.href}${kind}.mjs`)) as Target;
  const named: NamedVariant[] = [];
  for (const variant of target.variants) {
    const url = urlOf(variant);
    if (url === undefined) continue;
    const abilities = await abilitiesOf(target, variant, url);
    named.push({ kind, name: variant.name, target, variant, url, abilities });
  }
  return named;
}

function urlOf({ server }: Variant): string | null | undefined {
  return server === null ? null : process.env[`SYMBOLON_${server.toUpperCase().replaceAll("-", "_")}_URL`];
}

async function abilitiesOf(target: Target, variant: Variant, url: string | null): Promise<ReadonlySet<Ability>> {
  const where = await target.prepare(variant, url);
  const handle = await target.open(where);
  const abilities = new Set(ABILITIES.filter((ability) => hasAbility(handle.store, ability)));
  await handle.close();
  await target.drop(where);
  return abilities;
}
