/** What is known of the client: noted when a session begins, and compared where sessions are pinned. */
import { digestText } from "../crypto/derive.ts";
import { networkOf, normalAddress } from "./address.ts";
import { checkFlag, oneOf, refuseUnknown } from "./checks.ts";
import type { Device, Pin } from "./record.ts";

/** What a request says of its client. A binding knows; without one, pass it to `validate` and `create`. */
export interface Client {
  /** The address of the client, as a trusted proxy or the socket tells it. */
  readonly ip?: string | null | undefined;
  readonly userAgent?: string | null | undefined;
}

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
export type PinMismatch = "ip" | "userAgent";

/** Makes "Firefox on Linux" of a `User-Agent`; null when it cannot tell. */
export type NameDevice = (userAgent: string) => string | null;

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

/** Notes the client in reduced form; null when nothing is known of it. A namer that throws costs the name only. */
export function noteDevice({ ip, userAgent }: Client, nameDevice: NameDevice | null): Device | null {
  const address = normalAddress(ip);
  const name = typeof userAgent === "string" && nameDevice !== null ? nameSafely(userAgent, nameDevice) : null;
  if (address === null && name === null) return null;
  return { ...(name !== null && { name }), ...(address !== null && { network: networkOf(address) }) };
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
export function findMismatch(pin: Pin, client: Client, wanted: ResolvedPin): PinMismatch | null {
  const now = pinOf(client, wanted);
  if (wanted.ip !== "off" && (pin.ip === undefined || pin.ip !== now.ip)) return "ip";
  if (wanted.userAgent && (pin.userAgent === undefined || pin.userAgent !== now.userAgent)) return "userAgent";
  return null;
}

/** Fills what a pin leaves open; null when nothing is to be added. */
export function adoptPin(pin: Pin, client: Client, wanted: ResolvedPin): Pin | null {
  const filled = { ...pinOf(client, wanted), ...pin };
  return filled.ip === pin.ip && filled.userAgent === pin.userAgent ? null : filled;
}

/** Without numbers: browsers count up their versions every few weeks. */
function digestAgent(userAgent: string | null | undefined): string | null {
  if (typeof userAgent !== "string" || userAgent === "") return null;
  return digestText(userAgent.replace(/\d+/g, "")).slice(0, 22);
}

function nameSafely(userAgent: string, nameDevice: NameDevice): string | null {
  try {
    const name = nameDevice(userAgent.slice(0, 512));
    return typeof name === "string" && name !== "" ? name.slice(0, 80) : null;
  } catch {
    return null;
  }
}
