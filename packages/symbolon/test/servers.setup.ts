/** Starts the servers before the tests and stops them after; `support/servers.ts` hands them to the tests. */
import { type ServerUrls, startServers } from "symbolon-servers";
import type { TestProject } from "vitest/node";

declare module "vitest" {
  interface ProvidedContext {
    readonly servers: { readonly urls: ServerUrls; readonly missing: readonly string[] };
  }
}

export default async function setup(project: TestProject): Promise<() => Promise<void>> {
  const servers = await startServers();
  project.provide("servers", { urls: servers.urls, missing: servers.missing });
  return () => servers.stop();
}
