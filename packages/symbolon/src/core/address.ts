/**
 * IP addresses in one spelling, so that equal addresses are equal texts (R-201), and the networks they are kept as
 * (R-190).
 */
import { isIPv4, isIPv6 } from "node:net";

/** The longest IPv6 address has 45 characters; the rest is for a zone, as in `fe80::1%eth0`. */
const MAX_LENGTH = 64;

/** As `URL` writes an IPv4 address within IPv6 (RFC 4291 section 2.5.5.2): `::ffff:cb00:7109`. */
const MAPPED = /^::ffff:([\da-f]{1,4}):([\da-f]{1,4})$/;

/**
 * An IP address in its one spelling: an IPv4-mapped address as IPv4, IPv6 as RFC 5952 has it, without a zone. Null for
 * everything else, a port or brackets included. Never throws.
 */
export function normalAddress(text: unknown): string | null {
  if (typeof text !== "string" || text.length > MAX_LENGTH) return null;
  if (isIPv4(text)) return text;
  return isIPv6(text) ? unmapped(compressed(withoutZone(text))) : null;
}

/**
 * The network that a normal address stands for: `203.0.113.0/24`, `2001:db8:1:2::/64`. A household or a phone may change
 * its address within one; by it alone nobody can be told apart.
 */
export function networkOf(address: string): string {
  if (isIPv4(address)) return `${address.slice(0, address.lastIndexOf("."))}.0/24`;
  return `${compressed(`${groupsOf(address).slice(0, 4).join(":")}::`)}/64`;
}

function withoutZone(address: string): string {
  return address.split("%", 1)[0] ?? "";
}

/** The URL standard has IPv6 hosts written lower-case, with the first longest run of zeros left out. */
function compressed(address: string): string {
  return new URL(`http://[${address}]`).hostname.slice(1, -1);
}

function unmapped(address: string): string {
  const [, high, low] = MAPPED.exec(address) ?? [];
  if (high === undefined || low === undefined) return address;
  const [first, second] = [parseInt(high, 16), parseInt(low, 16)];
  return [first >> 8, first & 255, second >> 8, second & 255].join(".");
}

/** The eight groups of an IPv6 address; those that `::` stands for are zero. */
function groupsOf(address: string): string[] {
  const [before = [], after] = address.split("::").map((side) => (side === "" ? [] : side.split(":")));
  if (after === undefined) return before;
  return [...before, ...Array<string>(8 - before.length - after.length).fill("0"), ...after];
}
