/** The Redis of the candidates that keep sessions there: all use the same client, node-redis. */
import { createClient } from "redis";

export type Redis = Awaited<ReturnType<typeof connectRedis>>;

export async function connectRedis(url: string) {
  const client = createClient({ url });
  await client.connect();
  return client;
}

/** What a session of those lives that would have no end by themselves. */
export const DAY_S = 86_400;

/** Sessions as JSON, for libraries that come without a store for Redis: one command a call. */
export class RedisJson {
  readonly #client: Redis;
  readonly #prefix = `bench-${process.pid}:`;

  private constructor(client: Redis) {
    this.#client = client;
  }

  static async connect(url: string): Promise<RedisJson> {
    return new RedisJson(await connectRedis(url));
  }

  async get(id: string): Promise<unknown> {
    const text = await this.#client.get(this.#prefix + id);
    return text === null ? null : (JSON.parse(text) as unknown);
  }

  async set(id: string, session: unknown): Promise<void> {
    await this.#client.set(this.#prefix + id, JSON.stringify(session), { expiration: { type: "EX", value: DAY_S } });
  }

  async destroy(id: string): Promise<void> {
    await this.#client.del(this.#prefix + id);
  }
}
