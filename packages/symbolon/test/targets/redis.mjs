/** Redis, over every client and every kind of server, for tests that open a store in several processes. */
import { randomBytes } from "node:crypto";
import { createClient, createCluster, createSentinel } from "redis";
import { Cluster as IoCluster, Redis as IoRedis } from "ioredis";
import { Cluster as IovalkeyCluster, Redis as Iovalkey } from "iovalkey";
import { redisStore } from "symbolon/stores/redis";
import { parseGroupUrl } from "symbolon-servers";

const KINDS = ["redis", "sentinel", "cluster"];
const NAMES = { redis: "", sentinel: " (Sentinel)", cluster: " (Cluster)" };

export const variants = ["ioredis", "iovalkey", "node-redis"].flatMap((client) =>
  KINDS.map((server) => ({ name: `redisStore over ${client}${NAMES[server]}`, server, client })),
);

export function prepare({ client, server }, url) {
  return {
    client,
    server,
    url,
    options: { prefix: `test:${randomBytes(9).toString("base64url")}:`, invalidations: true },
  };
}

export async function open(where) {
  const { client, close } = await connect(where);
  const store = redisStore(client, where.options);
  return {
    store,
    client,
    async close() {
      if ("close" in store) await store.close();
      await close();
    },
  };
}

export async function drop(where) {
  const { masters, close } = await connect({ ...where, client: "ioredis" });
  for (const master of masters()) await removeAll(master, `${where.options.prefix}*`);
  await close();
}

/** A connected client, as an application would make it. */
export async function connect({ client, server, url }) {
  if (client === "node-redis") return connectNodeRedis(server, url);
  const connection =
    client === "ioredis"
      ? openIoredis(IoRedis, IoCluster, server, url)
      : openIoredis(Iovalkey, IovalkeyCluster, server, url);
  // Its reconnecting is the client's own business, and what fails is told by the calls that fail.
  connection.on("error", () => {});
  await connection.connect();
  return {
    client: connection,
    masters: () => (server === "cluster" ? connection.nodes("master") : [connection]),
    close: () => connection.disconnect(),
  };
}

function openIoredis(Redis, Cluster, server, url) {
  if (server === "redis") return new Redis(url, { lazyConnect: true });
  const { hosts, name } = parseGroupUrl(url);
  if (server === "cluster") return new Cluster(hosts, { lazyConnect: true });
  return new Redis({ sentinels: [...hosts], name, lazyConnect: true });
}

async function connectNodeRedis(server, url) {
  const client = openNodeRedis(server, url);
  client.on("error", () => {});
  await client.connect();
  let isOpen = true;
  return {
    client,
    close: async () => {
      if (isOpen) await client.destroy();
      isOpen = false;
    },
  };
}

function openNodeRedis(server, url) {
  if (server === "redis") return createClient({ url });
  const { hosts, name } = parseGroupUrl(url);
  if (server === "cluster") {
    return createCluster({ rootNodes: hosts.map(({ host, port }) => ({ url: `redis://${host}:${port}` })) });
  }
  return createSentinel({ name, sentinelRootNodes: [...hosts], scanInterval: 1000 });
}

async function removeAll(master, pattern) {
  for (let cursor = "0", more = true; more; more = cursor !== "0") {
    const [next, names] = await master.scan(cursor, "MATCH", pattern, "COUNT", 1000);
    for (const name of names) await master.del(name);
    cursor = next;
  }
}
