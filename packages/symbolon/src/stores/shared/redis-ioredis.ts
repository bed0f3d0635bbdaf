/** Redis through ioredis or iovalkey. */
import { OptionsError } from "../../errors.ts";
import type { IoredisClient, IoredisCluster, RedisLink } from "./redis-links.ts";

/**
 * Speaks through a `Redis` or a `Cluster`.
 *
 * @throws {OptionsError} when it has a `keyPrefix`, or might read from a replica.
 */
export function ioredisLink(client: IoredisClient | IoredisCluster): RedisLink {
  check(client);
  return {
    send: (_key, [name, ...words]) => client.callBuffer(nameOf(name), ...words),

    async sendBoth(_key, first, second) {
      // A pipeline goes to one node, also in a Cluster, where WAIT alone has no key to go by.
      const pipeline = client.pipeline();
      for (const [name, ...words] of [first, second]) pipeline.callBuffer(nameOf(name), ...words);
      const [one, two] = (await pipeline.exec()) ?? [];
      return [replyOf(one), replyOf(two)];
    },

    sendToAll([name, ...words]) {
      const masters = isCluster(client) ? client.nodes("master") : [client];
      return Promise.all(masters.map((node) => node.callBuffer(nameOf(name), ...words)));
    },

    reconnect() {
      if (!isCluster(client)) client.disconnect(true);
    },

    async listen(channels, onMessage, onLost) {
      const subscriber = nodeOf(client).duplicate({
        lazyConnect: true,
        autoResubscribe: false,
        enableOfflineQueue: false,
        retryStrategy: () => null,
        sentinelRetryStrategy: () => null,
      });
      // Without a listener an error would be printed; what follows it is told anyway.
      subscriber.on("error", () => undefined);
      subscriber.on("message", onMessage);
      subscriber.on("end", onLost);
      subscriber.on("close", onLost);
      try {
        await subscriber.connect();
        await subscriber.subscribe(...channels);
      } catch (error) {
        subscriber.disconnect();
        throw error;
      }
      return { close: () => subscriber.disconnect() };
    },
  };
}

/** In lower case, by which alone iovalkey finds the keys of a command, and so the node. */
function nameOf(name: string): string {
  return name.toLowerCase();
}

function isCluster(client: IoredisClient | IoredisCluster): client is IoredisCluster {
  return "nodes" in client;
}

/** Some node: in a Cluster messages reach all of them. */
function nodeOf(client: IoredisClient | IoredisCluster): IoredisClient {
  if (!isCluster(client)) return client;
  const masters = client.nodes("master");
  const node = masters[Math.floor(Math.random() * masters.length)];
  if (node === undefined) throw new Error("The client knows of no master.");
  return node;
}

function check(client: IoredisClient | IoredisCluster): void {
  const { keyPrefix } = client.options;
  if (keyPrefix !== undefined && keyPrefix !== "") {
    throw new OptionsError("redisStore: give `prefix` to redisStore instead of `keyPrefix` to the client.");
  }
  const { scaleReads = "master", readOnly = false, role = "master" } = { ...client.options } as Record<string, unknown>;
  if (scaleReads !== "master" || readOnly !== false || role !== "master") {
    throw new OptionsError(
      "redisStore: the client must read from masters: leave out `scaleReads`, `readOnly` and `role`. A replica may not " +
        "know yet that a session has ended.",
    );
  }
}

function replyOf(result: readonly [error: Error | null, reply: unknown] | undefined): unknown {
  if (result === undefined) throw new Error("The client gave no answer.");
  if (result[0] !== null) throw result[0];
  return result[1];
}
