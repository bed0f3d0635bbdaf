/** What several Redis servers that work together have in common. */
import { setTimeout as delay } from "node:timers/promises";
import type { Server } from "./start-server.ts";

const WAIT_MS = 60_000;

/** Starts servers at the same time, as many as asked for. */
export function startSeveral(count: number, start: () => Promise<Server>): Promise<Server[]> {
  return Promise.all(Array.from({ length: count }, () => start()));
}

/** Stops servers at the same time. */
export async function stopAll(servers: readonly Server[]): Promise<void> {
  await Promise.all(servers.map((server) => server.stop()));
}

/** Writes the address of a group: `<scheme>://127.0.0.1:p1,127.0.0.1:p2/<name>`. */
export function groupUrl(scheme: string, servers: readonly Server[], name = ""): string {
  return `${scheme}://${servers.map(({ port }) => `127.0.0.1:${port}`).join(",")}/${name}`;
}

/** What the address of a group says. */
export interface GroupAddress {
  readonly hosts: readonly { readonly host: string; readonly port: number }[];
  /** The master's name of a Sentinel group; empty for a cluster. */
  readonly name: string;
}

/** Reads the address of a Sentinel group or a cluster, which `new URL` cannot. */
export function parseGroupUrl(url: string): GroupAddress {
  const { list, name } = /^redis\+\w+:\/\/(?<list>[^/]+)\/?(?<name>.*)$/.exec(url)?.groups ?? {};
  if (list === undefined) throw new Error("Write the address of a group as redis+cluster://host:port,host:port.");
  const hosts = list
    .split(",")
    .map((entry) => ({ host: entry.replace(/:\d+$/, ""), port: Number(/\d+$/.exec(entry)?.[0]) }));
  return { hosts, name: name ?? "" };
}

/** Asks until it is so. */
export async function waitUntil(what: string, isSo: () => Promise<boolean>): Promise<void> {
  const deadline = performance.now() + WAIT_MS;
  while (!(await isSo())) {
    if (performance.now() > deadline) throw new Error(`Waited ${WAIT_MS / 1000} s in vain until ${what}.`);
    await delay(50);
  }
}
