/** Pins: sessions tied to where their client was at login, and to what it was. */
import { digestText } from "../crypto/derive.ts";
import { networkOf, normalAddress } from "./address.ts";
import { checkFlag, oneOf, refuseUnknown } from "./checks.ts";
import type { Client } from "./device.ts";
import type { Engine, Opened } from "./engine.ts";
import type { Pin, Snapshot } from "./record.ts";

/** Ties sessions of users, from their login on, to what the client was then. Off by default: networks change. */
export interface PinOptions {
  /** `exact`: the same address; `prefix`: the same network, /24 of IPv4 and /64 of IPv6. Default `off`. */
  readonly ip?: "off" | "exact" | "prefix";
  /** The same browser and system, whatever their versions. Default false. */
  readonly userAgent?: boolean;
  /**
   * What a request from elsewhere meets: `event` tells only (default); `step-up` opens the session, but `requireFresh`
   * refuses it; `deny` gives that request no session; `revoke` ends the session.
   */
  readonly onMismatch?: "event" | "step-up" | "deny" | "revoke";
  /** A session that was begun without knowing the client takes the first one it meets. Default false: a mismatch. */
  readonly adopt?: boolean;
}

/** Pins as they are applied. */
export type ResolvedPin = Required<PinOptions>;

/** Which pin does not fit. */
type PinMismatch = "ip" | "userAgent";

/** Checks `pin`; null when nothing is pinned. */
export function resolvePin(pin: PinOptions | undefined): ResolvedPin | null {
  if (pin === undefined) return null;
  refuseUnknown(pin, ["ip", "userAgent", "onMismatch", "adopt"], "pin.");
  const resolved: ResolvedPin = {
    ip: oneOf(pin.ip, ["off", "exact", "prefix"], "pin.ip"),
    userAgent: checkFlag(pin.userAgent, "pin.userAgent"),
    onMismatch: oneOf(pin.onMismatch, ["event", "step-up", "deny", "revoke"], "pin.onMismatch"),
    adopt: checkFlag(pin.adopt, "pin.adopt"),
  };
  return resolved.ip === "off" && !resolved.userAgent ? null : resolved;
}

/** Holds an opened session against its pin. */
export async function checkPin(engine: Engine, opened: Opened, client: Client, wanted: ResolvedPin): Promise<Opened> {
  if (!opened.ok || opened.snapshot.envelope.userId === null) return opened;
  const snapshot = wanted.adopt ? await takeFirstClient(engine, opened.snapshot, client, wanted) : opened.snapshot;
  if (snapshot === null) return { ok: false, reason: "ended" };
  const { id, userId, pin = {} } = snapshot.envelope;
  const mismatch = findMismatch(pin, client, wanted);
  if (mismatch === null) return { ...opened, snapshot };
  const action = wanted.onMismatch;
  engine.events.emit("pin-mismatch", { id, userId, pin: mismatch, action });
  if (action === "event") return { ...opened, snapshot };
  if (action === "step-up") return { ...opened, snapshot, needsStepUp: true };
  if (action === "revoke") await engine.end(snapshot.record, "pin-mismatch");
  return { ok: false, reason: "pin-mismatch" };
}

/** The first client of a session that was begun without knowing any is its own from then on; null when it is gone. */
async function takeFirstClient(
  engine: Engine,
  snapshot: Snapshot,
  client: Client,
  wanted: ResolvedPin,
): Promise<Snapshot | null> {
  if (adoptPin(snapshot.envelope.pin ?? {}, client, wanted) === null) return snapshot;
  const outcome = await engine.write(snapshot, ({ envelope }) => {
    const pin = adoptPin(envelope.pin ?? {}, client, wanted);
    return pin === null ? null : { envelope: { ...envelope, pin } };
  });
  return outcome.status === "gone" ? null : outcome.snapshot;
}

/** What a session of this client is tied to; a part that is not known is left out. */
export function pinOf(client: Client, { ip, userAgent }: ResolvedPin): Pin {
  const address = ip === "off" ? null : normalAddress(client.ip);
  const agent = userAgent ? digestAgent(client.userAgent) : null;
  return {
    ...(address !== null && { ip: ip === "exact" ? address : networkOf(address) }),
    ...(agent !== null && { userAgent: agent }),
  };
}

/** Compares a client with a pin; what is unknown on either side does not fit. */
function findMismatch(pin: Pin, client: Client, wanted: ResolvedPin): PinMismatch | null {
  const now = pinOf(client, wanted);
  if (wanted.ip !== "off" && (pin.ip === undefined || pin.ip !== now.ip)) return "ip";
  if (wanted.userAgent && (pin.userAgent === undefined || pin.userAgent !== now.userAgent)) return "userAgent";
  return null;
}

/** Fills what a pin leaves open; null when nothing is to be added. */
function adoptPin(pin: Pin, client: Client, wanted: ResolvedPin): Pin | null {
  const filled = { ...pinOf(client, wanted), ...pin };
  return filled.ip === pin.ip && filled.userAgent === pin.userAgent ? null : filled;
}

/** Versions as `140.0` and `17_4_1`: browsers count them up every few weeks, and parts of them come and go. */
const VERSION = /\d+(?:[._]\d+)*/g;

function digestAgent(userAgent: string | null | undefined): string | null {
  if (typeof userAgent !== "string" || userAgent === "") return null;
  return digestText(userAgent.replace(VERSION, "")).slice(0, 22);
}
