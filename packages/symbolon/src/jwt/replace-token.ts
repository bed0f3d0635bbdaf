/** replaceToken: the next token of a session whose only token is a JWT (`tokens: 'single'`). */
import { type Client, noteDevice } from "../core/device.ts";
import type { Engine } from "../core/engine.ts";
import type { Envelope, Snapshot } from "../core/record.ts";
import { reportRotated } from "../core/rotate-token.ts";
import type { TokenId } from "./token-id.ts";

/**
 * Counts the session's generation up, for whoever has a token of the present one, in one conditional write. Who still has
 * the one before gets the same generation within `rotation.grace`: an answer may be lost. Whoever comes later with an
 * old token has a copy, and the session ends (RFC 9700 section 4.14.2). Null when there is no session any more.
 */
export async function replaceToken(
  engine: Engine,
  found: Snapshot,
  { generation }: TokenId,
  client: Client,
): Promise<Snapshot | null> {
  let isOurs = false;
  const outcome = await engine.write(found, (current) => {
    isOurs = current.envelope.generation === generation;
    const envelope = isOurs ? nextGeneration(engine, current, client) : null;
    return envelope === null ? null : { envelope };
  });
  const { snapshot, status } = outcome;
  if (status === "gone") return null;
  if (isOurs) {
    reportRotated(engine, snapshot, "refresh");
    return snapshot;
  }
  if (isPredecessor(engine, snapshot.envelope, generation)) return snapshot;
  if (generation < snapshot.envelope.generation) await endReused(engine, snapshot, client);
  return null;
}

function nextGeneration(engine: Engine, current: Snapshot, client: Client): Envelope | null {
  const { vault, options } = engine;
  const { envelope, record } = current;
  const next = engine.mintNext(current);
  if (next === null) return null;
  const now = engine.now();
  // Nobody has the session's own token: neither the one before, nor the next.
  const tokens = { before: next.secret, next, keepsSuccessor: false };
  return {
    ...vault.succeed(record.lookup, envelope, tokens),
    lastSeenAt: Math.max(now, envelope.lastSeenAt),
    replaced: { at: now, verifiers: [], graceFrom: now, by: noteDevice(client, options.nameDevice) },
  };
}

function isPredecessor(engine: Engine, { generation, replaced }: Envelope, presented: number): boolean {
  const graceFrom = replaced?.graceFrom ?? Number.NEGATIVE_INFINITY;
  return presented === generation - 1 && engine.now() - graceFrom < engine.options.rotation.grace;
}

async function endReused(engine: Engine, { envelope, record }: Snapshot, client: Client): Promise<void> {
  const { id, userId, replaced } = envelope;
  if (!(await engine.end(record, "reuse-detected"))) return;
  const presented = noteDevice(client, engine.options.nameDevice);
  const [holder, replacedAt] = [replaced?.by ?? null, replaced?.at ?? null];
  engine.events.emit("reuse-detected", { id, userId, presented, holder, replacedAt });
}
