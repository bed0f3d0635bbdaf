/** Memcached, for tests that open a store in several processes. */
import { randomBytes } from "node:crypto";
import Memcached from "memcached";
import { memcachedStore } from "symbolon/stores/memcached";

export const variants = [{ name: "memcachedStore over memcached", server: "memcached" }];

/** As docs/stores/memcached.md says: who finds no free connection asks again soon, as who finds no server does, for ever. */
export const settings = {
  timeout: 1000,
  idle: 60_000,
  retries: 6,
  minTimeout: 10,
  factor: 2,
  maxTimeout: 500,
  retry: 100,
  failures: 1e9,
  failuresTimeout: 1000,
};

export function prepare(_variant, url) {
  return { server: new URL(url).host, prefix: `${randomBytes(8).toString("hex")}:` };
}

export function open({ server, prefix }) {
  const client = new Memcached(server, settings);
  return { store: memcachedStore(client, { prefix }), close: () => client.end() };
}

/** It cannot be told to forget by prefix; what it holds is gone when it needs room. */
export function drop() {}
