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

/** `127.0.0.1:p1,127.0.0.1:p2`, as in the address of a group. */
export function hostList(servers: readonly Server[]): string {
  return servers.map(({ port }) => `127.0.0.1:${port}`).join(",");
}

/** Asks until it is so. */
export async function waitUntil(what: string, isSo: () => Promise<boolean>): Promise<void> {
  const deadline = performance.now() + WAIT_MS;
  while (!(await isSo())) {
    if (performance.now() > deadline) throw new Error(`Waited ${WAIT_MS / 1000} s in vain until ${what}.`);
    await delay(50);
  }
}
