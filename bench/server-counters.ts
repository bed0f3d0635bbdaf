/** What servers were asked, by their own account. */
import { Client } from "pg";
import { connectRedis, type Redis } from "./candidates/redis.ts";

/** What a Redis did while something ran. */
export interface RedisWork {
  /** Calls by command, those inside of scripts included. */
  readonly commands: ReadonlyMap<string, number>;
  /** What came in and what went out. */
  readonly bytesIn: number;
  readonly bytesOut: number;
}

/** What clients say by themselves, and what is asked here. */
const OWN_COMMANDS = /^(?:info|ping|hello|client|select|auth)/;

export class RedisCounter {
  readonly #client: Redis;
  /** What asking costs by itself. */
  #idle = { bytesIn: 0, bytesOut: 0 };

  private constructor(client: Redis) {
    this.#client = client;
  }

  static async connect(url: string): Promise<RedisCounter> {
    const counter = new RedisCounter(await connectRedis(url));
    await counter.during(async () => undefined);
    counter.#idle = await counter.during(async () => undefined);
    return counter;
  }

  async during(work: () => Promise<unknown>): Promise<RedisWork> {
    const before = await this.#read();
    await work();
    const after = await this.#read();
    const commands = [...after.commands]
      .map(([name, count]) => [name, count - (before.commands.get(name) ?? 0)] as const)
      .filter(([name, count]) => count > 0 && !OWN_COMMANDS.test(name));
    return {
      commands: new Map(commands),
      bytesIn: after.bytesIn - before.bytesIn - this.#idle.bytesIn,
      bytesOut: after.bytesOut - before.bytesOut - this.#idle.bytesOut,
    };
  }

  close(): void {
    this.#client.destroy();
  }

  async #read(): Promise<RedisWork> {
    const stats = await this.#client.info("commandstats");
    const totals = await this.#client.info("stats");
    const total = (name: string): number => Number(new RegExp(`${name}:(\\d+)`).exec(totals)?.[1] ?? 0);
    const counts = [...stats.matchAll(/cmdstat_([^:]+):calls=(\d+)/g)];
    return {
      commands: new Map(counts.map(([, name = "", count]) => [name, Number(count)])),
      bytesIn: total("total_net_input_bytes"),
      bytesOut: total("total_net_output_bytes"),
    };
  }
}

/** Statements that this process sends by `pg`, which waits for the answer to each. */
export async function countStatements(work: () => Promise<unknown>): Promise<number> {
  const { prototype } = Client;
  // oxlint-disable-next-line typescript/unbound-method -- called on the client that it is called on
  const original = prototype.query;
  let count = 0;
  prototype.query = function counted(this: Client, ...args: unknown[]): unknown {
    count++;
    return Reflect.apply(original, this, args);
  } as typeof original;
  try {
    await work();
  } finally {
    prototype.query = original;
  }
  return count;
}
