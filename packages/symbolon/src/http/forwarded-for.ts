/** The client's address, by what proxies wrote of it. */
import { normalAddress } from "../core/address.ts";

/** `1.2.3.4:567`, `[::1]` and `[::1]:9`: some proxies write ports, too. */
const WITH_PORT = /^(?:([\d.]+):\d{1,5}|\[(?=[\da-f]*:)([^\]]*)\](?::\d{1,5})?)$/i;

/**
 * Reads `X-Forwarded-For` from its right end, where the proxy next to us writes: the first address that is no trusted
 * proxy is the client's. Where all are trusted, the client is the left-most of them.
 *
 * Null when the header is missing, or holds on the way anything but an address: what stands left of it may be forged.
 */
export function forwardedFor(header: string | null, isTrusted: (address: string) => boolean): string | null {
  let client: string | null = null;
  for (const entry of (header ?? "").split(",").toReversed()) {
    client = addressOf(entry);
    if (client === null || !isTrusted(client)) break;
  }
  return client;
}

function addressOf(entry: string): string | null {
  const text = entry.trim();
  const [, ipv4, ipv6] = WITH_PORT.exec(text) ?? [];
  return normalAddress(ipv4 ?? ipv6 ?? text);
}
