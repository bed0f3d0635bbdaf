/** Every kind of store that tests open by name, over every client and kind of server. */
import { readdirSync } from "node:fs";
import { type Ability, hasAbility, storeContract } from "symbolon/testing";
import { describe } from "vitest";
import { needsServer, serverUrls } from "./servers.ts";
import type { Target, Variant } from "./targets.ts";

/** One of them; `kind` is the name of its file in `test/targets`. */
export interface NamedVariant {
  readonly kind: string;
  readonly target: Target;
  readonly variant: Variant;
  readonly url: string | null;
  /** None where its server is missing. */
  readonly abilities: ReadonlySet<Ability>;
}

type ServerName = keyof typeof serverUrls;

const ABILITIES = [...new Set(storeContract.map(({ needs }) => needs))];
const folder = new URL("../targets/", import.meta.url);
const kinds = readdirSync(folder).flatMap((file) => /^(.+)\.mjs$/.exec(file)?.[1] ?? []);
export const everyVariant: readonly NamedVariant[] = (await Promise.all(kinds.map(variantsOf))).flat();

/** Over one client for each kind of server. */
export const onePerServer: readonly NamedVariant[] = everyVariant.filter(
  ({ kind, variant }) =>
    everyVariant.find((one) => one.kind === kind && one.variant.server === variant.server)?.variant === variant,
);

/**
 * Describes every one that has the ability, `... on one redisStore over ioredis`; where its server is missing, it says
 * that instead.
 */
export function describeEvery(
  what: string,
  needs: Ability,
  register: (variant: NamedVariant) => void,
  variants: readonly NamedVariant[] = everyVariant,
): void {
  for (const named of variants) {
    const { name, server } = named.variant;
    if (named.abilities.size > 0 && !named.abilities.has(needs)) continue;
    describe(`${what} on one ${name}`, () => {
      if (server === null) register(named);
      else needsServer(server as ServerName, () => register(named));
    });
  }
}

async function variantsOf(kind: string): Promise<NamedVariant[]> {
  const target = (await import(`${folder.href}${kind}.mjs`)) as Target;
  return Promise.all(
    target.variants.map(async (variant) => {
      const url = variant.server === null ? null : serverUrls[variant.server as ServerName];
      const isThere = variant.server === null || url !== null;
      const abilities = isThere ? await abilitiesOf(target, variant, url) : new Set<Ability>();
      return { kind, target, variant, url, abilities };
    }),
  );
}

async function abilitiesOf(target: Target, variant: Variant, url: string | null): Promise<Set<Ability>> {
  const where = await target.prepare(variant, url);
  const handle = await target.open(where);
  const abilities = new Set(ABILITIES.filter((ability) => hasAbility(handle.store, ability)));
  await handle.close();
  await target.drop(where);
  return abilities;
}
