/** Redis through node-redis. */
import { OptionsError } from "../../errors.ts";
import type {
  Command,
  MessageLink,
  NodeRedisClient,
  NodeRedisCluster,
  NodeRedisOptions,
  NodeRedisSentinel,
  NodeRedisSubscriber,
  RedisLink,
} from "./redis-links.ts";

/** Bulk strings (36 is their `$`) as Buffers: text would spoil bytes. */
const BINARY: NodeRedisOptions = { typeMapping: { 36: Buffer } };

/**
 * Speaks through what `createClient`, `createCluster` or `createSentinel` made.
 *
 * @throws {OptionsError} when it reads from a replica.
 */
export function nodeRedisLink(client: NodeRedisClient | NodeRedisCluster | NodeRedisSentinel): RedisLink {
  if ("getNodeClientForKey" in client) return clusterLink(client);
  return "use" in client ? sentinelLink(client) : clientLink(client);
}

function clientLink(client: NodeRedisClient): RedisLink {
  if (client.options.readonly === true) {
    throw new OptionsError("redisStore: leave out `readonly`: a replica may not know yet that a session has ended.");
  }
  // Unless the application limits it, a command's time is limited by the manager, and by nothing else: the client's own
  // limit is an AbortSignal for each command, which is a fifth of what a read costs.
  const isLimited = client.options.commandOptions?.timeout !== undefined;
  const options: NodeRedisOptions = isLimited ? BINARY : { ...BINARY, timeout: 0 };
  return {
    send: (_key, command, signal) => client.sendCommand(command, withSignal(options, signal)),
    sendBoth: (_key, first, second) => sendBoth(client, first, second),
    sendToAll: async (command) => [await client.sendCommand(command, BINARY)],
    reconnect: () => void dropConnection(client),
    listen: (channels, onMessage, onLost) => listen(subscriberOf(client), channels, onMessage, onLost),
  };
}

function clusterLink(client: NodeRedisCluster): RedisLink {
  return {
    // Never `isReadonly`: that may ask a replica, which may not know yet that a session has ended.
    send: (key, command, signal) => client.sendCommand(key, false, [...command], withSignal(BINARY, signal)),
    sendBoth: async (key, first, second) => sendBoth(await client.getNodeClientForKey(key, false), first, second),
    async sendToAll(command) {
      const nodes = await Promise.all(client.masters.map((node) => client.nodeClient(node as never)));
      return Promise.all(nodes.map((node) => node.sendCommand(command, BINARY)));
    },
    reconnect: () => undefined,
    async listen(channels, onMessage, onLost) {
      // Some node: in a Cluster messages reach all of them.
      const node = client.masters[Math.floor(Math.random() * client.masters.length)];
      if (node === undefined) throw new Error("The client knows of no master.");
      return listen(subscriberOf(await client.nodeClient(node as never)), channels, onMessage, onLost);
    },
  };
}

function sentinelLink(client: NodeRedisSentinel): RedisLink {
  return {
    send: (_key, command, signal) => client.sendCommand(false, [...command], withSignal(BINARY, signal)),
    // A lease, since the client may have several connections.
    sendBoth: (_key, first, second) =>
      client.use((leased) =>
        sendBoth({ sendCommand: (command) => leased.sendCommand(false, [...command], BINARY) }, first, second),
      ),
    sendToAll: async (command) => [await client.sendCommand(false, [...command], BINARY)],
    // It does so itself.
    reconnect: () => undefined,
    listen: (channels, onMessage, onLost) => listen(client.duplicate(), channels, onMessage, onLost),
  };
}

function withSignal(options: NodeRedisOptions, signal: AbortSignal | undefined): NodeRedisOptions {
  return signal === undefined ? options : { ...options, abortSignal: signal };
}

/** In one turn, so that nothing comes between them. */
function sendBoth(
  client: Pick<NodeRedisClient, "sendCommand">,
  first: Command,
  second: Command,
): Promise<readonly [unknown, unknown]> {
  return Promise.all([client.sendCommand(first, BINARY), client.sendCommand(second, BINARY)]);
}

/** Has the server end the connection; the client then makes another, and asks anew where the server is. */
async function dropConnection(client: NodeRedisClient): Promise<void> {
  try {
    const id = await client.sendCommand(["CLIENT", "ID"], BINARY);
    await client.sendCommand(["CLIENT", "KILL", "ID", String(id), "SKIPME", "no"], BINARY);
  } catch {
    // It may not be allowed, and the answer may be lost with the connection.
  }
}

function subscriberOf(client: NodeRedisClient): NodeRedisSubscriber {
  return client.duplicate({ socket: { ...client.options.socket, reconnectStrategy: false } });
}

async function listen(
  subscriber: NodeRedisSubscriber,
  channels: readonly string[],
  onMessage: (channel: string, message: string) => void,
  onLost: () => void,
): Promise<MessageLink> {
  let isSubscribed = false;
  // Whatever becomes of the connection, messages may be missing.
  for (const event of ["error", "end", "reconnecting", "topology-change"] as const) {
    subscriber.on(event, () => {
      if (isSubscribed) onLost();
    });
  }
  try {
    await subscriber.connect();
    await subscriber.subscribe([...channels], (message, channel) => onMessage(channel, message));
  } catch (error) {
    await destroy(subscriber);
    throw error;
  }
  isSubscribed = true;
  return {
    close() {
      isSubscribed = false;
      void destroy(subscriber);
    },
  };
}

async function destroy(subscriber: NodeRedisSubscriber): Promise<void> {
  try {
    await subscriber.destroy();
  } catch {
    // It was closed already.
  }
}
