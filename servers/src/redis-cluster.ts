import { ask } from "./programs.ts";
import { askRedis, redisKind } from "./redis.ts";
import { groupUrl, startSeveral, stopAll, waitUntil } from "./redis-group.ts";
import { type Server, startServer } from "./start-server.ts";

/** Three masters that share the slots, each with a replica. */
export interface RedisCluster {
  /** `redis+cluster://127.0.0.1:p1,127.0.0.1:p2,…/`: all six nodes. */
  readonly url: string;
  readonly nodes: readonly Server[];
  /** The nodes that are masters now. A master that is gone is replaced after some seconds. */
  masters(): Promise<Server[]>;
  stop(): Promise<void>;
}

const MASTERS = 3;
const NODES = 2 * MASTERS;
const CREATE_MS = 60_000;

/** Starts the cluster; resolves once every node calls it complete and every replica follows its master. */
export async function startRedisCluster(): Promise<RedisCluster> {
  const nodes = await startSeveral(NODES, startNode);
  const hosts = nodes.map(({ port }) => `127.0.0.1:${port}`);
  const layout = ["--cluster-replicas", "1", "--cluster-yes"];
  const answer = await ask("redis-cli", ["--cluster", "create", ...hosts, ...layout], CREATE_MS);
  if (answer === null) throw new Error("redis-cli could not make the cluster.");
  await waitUntil("the cluster is complete", async () => (await Promise.all(nodes.map(isComplete))).every(Boolean));
  return {
    url: groupUrl("redis+cluster", nodes),
    nodes,
    masters: () => mastersOf(nodes),
    stop: () => stopAll(nodes),
  };
}

function startNode(): Promise<Server> {
  return startServer(
    redisKind("cluster", (port) => ({
      "cluster-enabled": "yes",
      "cluster-announce-ip": "127.0.0.1",
      "cluster-node-timeout": "2000",
      // The default, ten thousand higher, is where outgoing connections take their ports from.
      "cluster-port": `${port + 1}`,
    })),
  );
}

async function isComplete(node: Server): Promise<boolean> {
  const state = await askRedis(node.port, "cluster", "info");
  const replication = await askRedis(node.port, "info", "replication");
  const view = await viewOf(node);
  return (
    state?.includes("cluster_state:ok") === true &&
    (replication?.includes("role:master") === true || replication?.includes("master_link_status:up") === true) &&
    view?.masters.length === MASTERS &&
    view.replicas.length === NODES - MASTERS
  );
}

/** By the view of most nodes that answer: one that was away may still think that it is a master. */
async function mastersOf(nodes: readonly Server[]): Promise<Server[]> {
  const views = (await Promise.all(nodes.map(viewOf))).filter((view) => view !== null);
  return nodes.filter(({ port }) => views.filter(({ masters }) => masters.includes(port)).length * 2 > views.length);
}

/** The ports of a cluster's nodes that are not down, as one of them sees it. */
interface View {
  readonly masters: readonly number[];
  readonly replicas: readonly number[];
}

/** Reads lines of `<id> <host>:<port>@<bus port> <flag>,<flag> …`; a master without slots counts for nothing. */
async function viewOf({ port }: Server): Promise<View | null> {
  const answer = await askRedis(port, "cluster", "nodes");
  if (answer === null) return null;
  const lines = answer.split("\n").filter((line) => line.includes(" connected"));
  const portsOf = (role: RegExp): number[] =>
    lines.filter((line) => role.test(line)).map((line) => Number(/:(\d+)@/.exec(line)?.[1]));
  return { masters: portsOf(/ (?:myself,)?master .* \d+-\d+/), replicas: portsOf(/ (?:myself,)?slave /) };
}
