/** What the store needs of a client, and the shapes of the clients it takes: only what is called. */

/** A word of a command. */
export type Word = string | Buffer;

/** A command: its name, and its words. */
export type Command = readonly [name: string, ...words: Word[]];

/** A connection of its own that hears messages. */
export interface MessageLink {
  /** Lets go of it, however it is. */
  close(): void;
}

/** One way to speak to Redis, whatever the client and whatever the servers. */
export interface RedisLink {
  /**
   * Sends a command to the master that has the key. Bulk replies are Buffers. Where the client can, a command that
   * waits to be sent is taken back when the signal aborts.
   */
  send(key: string, command: Command, signal?: AbortSignal): Promise<unknown>;
  /** As `send`, and then on the same connection a second command: for WAIT, which counts what its connection wrote. */
  sendBoth(key: string, command: Command, second: Command): Promise<readonly [unknown, unknown]>;
  /** Sends a command to every master, or to one where the client knows of no others. */
  sendToAll(command: Command): Promise<unknown[]>;
  /** The connection is to a server that is no longer the master: makes the client look anew, where that is possible. */
  reconnect(): void;
  /**
   * Opens a connection of its own and subscribes to the channels; resolves once that is done. `onLost` is called at
   * most once, when it breaks; it never mends itself.
   */
  listen(
    channels: readonly string[],
    onMessage: (channel: string, message: string) => void,
    onLost: () => void,
  ): Promise<MessageLink>;
}

/** What ioredis and iovalkey have in common, `Redis` and `Cluster` alike. */
interface IoredisCommands {
  callBuffer(command: string, ...words: Word[]): Promise<unknown>;
  pipeline(): IoredisPipeline;
}

/** Commands that are sent together. */
export interface IoredisPipeline {
  callBuffer(command: string, ...words: Word[]): unknown;
  exec(): Promise<[error: Error | null, reply: unknown][] | null>;
}

/** A `Redis` of ioredis or iovalkey: one server, or what Sentinel says is the master. */
export interface IoredisClient extends IoredisCommands {
  readonly options: {
    readonly keyPrefix?: string | undefined;
    readonly readOnly?: boolean | undefined;
    readonly role?: string | undefined;
  };
  duplicate(overrides: {
    readonly lazyConnect: boolean;
    readonly autoResubscribe: boolean;
    readonly enableOfflineQueue: boolean;
    readonly retryStrategy: () => null;
    readonly sentinelRetryStrategy: () => null;
  }): IoredisSubscriber;
  disconnect(reconnect?: boolean): void;
}

/** A `Redis` that listens. */
export interface IoredisSubscriber {
  connect(): Promise<void>;
  subscribe(...channels: string[]): Promise<unknown>;
  on(event: "message", listener: (channel: string, message: string) => void): unknown;
  on(event: "error" | "close" | "end", listener: () => void): unknown;
  disconnect(): void;
}

/** A `Cluster` of ioredis or iovalkey. */
export interface IoredisCluster extends IoredisCommands {
  readonly options: { readonly keyPrefix?: string | undefined; readonly scaleReads?: unknown };
  nodes(role: "master"): IoredisClient[];
}

/** How a command of node-redis is sent. */
export interface NodeRedisOptions {
  readonly typeMapping: { readonly 36: BufferConstructor };
  readonly abortSignal?: AbortSignal;
  /** Milliseconds that a command may wait to be sent; 0 for as long as it takes. */
  readonly timeout?: number;
}

/** What all clients of node-redis have in common. */
export interface NodeRedisSubscriber {
  connect(): Promise<unknown>;
  subscribe(channels: string[], listener: (message: string, channel: string) => void): Promise<unknown>;
  on(event: "error" | "end" | "reconnecting" | "topology-change", listener: () => void): unknown;
  destroy(): unknown;
}

/** What `createClient` of node-redis makes. */
export interface NodeRedisClient extends NodeRedisSubscriber {
  readonly options: {
    readonly readonly?: boolean | undefined;
    readonly socket?: object | undefined;
    readonly commandOptions?: { readonly timeout?: number | undefined } | undefined;
  };
  sendCommand(command: readonly Word[], options?: NodeRedisOptions): Promise<unknown>;
  duplicate(overrides: { readonly socket: object }): NodeRedisSubscriber;
}

/** What `createCluster` of node-redis makes. */
export interface NodeRedisCluster {
  readonly masters: readonly unknown[];
  sendCommand(
    firstKey: string | undefined,
    isReadonly: boolean,
    command: Word[],
    options?: NodeRedisOptions,
  ): Promise<unknown>;
  getNodeClientForKey(key: string, isReadonly?: boolean): Promise<NodeRedisClient>;
  nodeClient(node: never): Promise<NodeRedisClient>;
}

/** What `createSentinel` of node-redis makes. */
export interface NodeRedisSentinel extends NodeRedisSubscriber {
  sendCommand(isReadonly: boolean, command: Word[], options?: NodeRedisOptions): Promise<unknown>;
  use<T>(work: (client: Pick<NodeRedisSentinel, "sendCommand">) => Promise<T>): Promise<T>;
  duplicate(): NodeRedisSubscriber;
  getMasterNode(): unknown;
}
