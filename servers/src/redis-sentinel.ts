import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { askRedis, redisArgs, redisKind, startRedis } from "./redis.ts";
import { groupUrl, startSeveral, stopAll, waitUntil } from "./redis-group.ts";
import { type Server, startServer } from "./start-server.ts";

/** A master, two replicas, and three sentinels that watch them. */
export interface RedisSentinel {
  /** `redis+sentinel://127.0.0.1:p1,127.0.0.1:p2,127.0.0.1:p3/symbolon`: the sentinels, and the master's name. */
  readonly url: string;
  readonly masterName: string;
  readonly sentinels: readonly Server[];
  /** The three Redis servers. */
  readonly nodes: readonly Server[];
  /** The node that the sentinels call the master now. A master that is gone is replaced after some seconds. */
  master(): Promise<Server>;
  stop(): Promise<void>;
}

const MASTER_NAME = "symbolon";

/** Starts the group; resolves once every sentinel knows all others, and may call for a new master. */
export async function startRedisSentinel(): Promise<RedisSentinel> {
  const first = await startRedis();
  const settings = { replicaof: `127.0.0.1 ${first.port}` };
  const nodes = [first, ...(await startSeveral(2, () => startRedis({ settings })))];
  // Sentinels that ask before the replicas are there ask again only after ten seconds.
  await waitUntil("the replicas follow the master", async () => {
    const replication = await askRedis(first.port, "info", "replication");
    return replication?.match(/^slave\d:.*state=online/gm)?.length === 2;
  });
  const sentinels = await startSeveral(3, () => startSentinel(first.port));
  await waitUntil("the sentinels know each other", async () => {
    const views = await Promise.all(sentinels.map(({ port }) => askRedis(port, "info", "sentinel")));
    return views.every((view) => view?.includes("status=ok") && view.includes("slaves=2,sentinels=3"));
  });
  return {
    url: groupUrl("redis+sentinel", sentinels, MASTER_NAME),
    masterName: MASTER_NAME,
    sentinels,
    nodes,
    master: () => masterOf(sentinels, nodes),
    stop: () => stopAll([...sentinels, ...nodes]),
  };
}

function startSentinel(masterPort: number): Promise<Server> {
  const file = "sentinel.conf";
  return startServer({
    ...redisKind("sentinel", () => ({})),
    args: (port) => [file, "--sentinel", ...redisArgs({ bind: "127.0.0.1", port: `${port}` })],
    // A sentinel keeps what it learns in this file, so that it cannot take its rules as arguments.
    prepare: ({ folder }) => writeFile(join(folder, file), rules(masterPort)),
  });
}

function rules(masterPort: number): string {
  return [
    `sentinel monitor ${MASTER_NAME} 127.0.0.1 ${masterPort} 2`,
    `sentinel down-after-milliseconds ${MASTER_NAME} 1000`,
    `sentinel failover-timeout ${MASTER_NAME} 5000`,
    "",
  ].join("\n");
}

async function masterOf(sentinels: readonly Server[], nodes: readonly Server[]): Promise<Server> {
  const addresses = await Promise.all(
    sentinels.map(({ port }) => askRedis(port, "sentinel", "get-master-addr-by-name", MASTER_NAME)),
  );
  const votes = (node: Server): number =>
    addresses.filter((address) => address?.split("\n")[1] === `${node.port}`).length;
  const [elected] = nodes.toSorted((a, b) => votes(b) - votes(a));
  if (elected === undefined || votes(elected) === 0) throw new Error("No sentinel names a master.");
  return elected;
}
