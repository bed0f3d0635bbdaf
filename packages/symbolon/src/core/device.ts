/** What is known of the client, and what is noted of it when a session begins. */
import { networkOf, normalAddress } from "./address.ts";
import type { Device } from "./record.ts";

/** What a request says of its client. A binding knows; without one, pass it to `validate` and `create`. */
export interface Client {
  /** The address of the client, as a trusted proxy or the socket tells it. */
  readonly ip?: string | null | undefined;
  readonly userAgent?: string | null | undefined;
}

/** Makes "Firefox on Linux" of a `User-Agent`; null when it cannot tell. */
export type NameDevice = (userAgent: string) => string | null;

/** Notes the client in reduced form; null when nothing is known of it. A namer that throws costs the name only. */
export function noteDevice({ ip, userAgent }: Client, nameDevice: NameDevice | null): Device | null {
  const address = normalAddress(ip);
  const name = typeof userAgent === "string" && nameDevice !== null ? nameSafely(userAgent, nameDevice) : null;
  if (address === null && name === null) return null;
  return { ...(name !== null && { name }), ...(address !== null && { network: networkOf(address) }) };
}

function nameSafely(userAgent: string, nameDevice: NameDevice): string | null {
  try {
    const name = nameDevice(userAgent.slice(0, 512));
    return typeof name === "string" && name !== "" ? name.slice(0, 80) : null;
  } catch {
    return null;
  }
}
