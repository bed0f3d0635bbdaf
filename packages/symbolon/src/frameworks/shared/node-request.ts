/** What a Node request says of itself: headers, and how it came. */
import { BlockList, isIP } from "node:net";
import { OptionsError } from "../../errors.ts";
import type { Connection, HeaderSource } from "../../http/index.ts";

/** The part of `http.IncomingMessage` and `http2.Http2ServerRequest` that is read. */
export interface NodeRequest {
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
  readonly socket: { readonly remoteAddress?: string | undefined; readonly encrypted?: boolean };
}

/** Reads headers as Web code does. Node joins several Cookie lines with `; ` (RFC 6265bis section 4.2.1). */
export function headersOf(request: NodeRequest): HeaderSource {
  return {
    get(name) {
      const value = request.headers[name];
      return typeof value === "string" ? value : null;
    },
  };
}

/** Tells how requests came; `trustProxy` is checked here, once. */
export function connectionReader(trustProxy: boolean | readonly string[]): (request: NodeRequest) => Connection {
  const isTrusted = trustedPeers(trustProxy);
  return (request) => {
    const peer = request.socket.remoteAddress ?? "";
    const secure = request.socket.encrypted === true || (saysHttps(request) && isTrusted(peer));
    return { secure, loopback: isLoopback(peer) };
  };
}

/** Exactly one value: a list could hold one that the client sent. */
function saysHttps(request: NodeRequest): boolean {
  return request.headers["x-forwarded-proto"] === "https";
}

function isLoopback(address: string): boolean {
  return address === "::1" || address.startsWith("127.") || address.startsWith("::ffff:127.");
}

function trustedPeers(trustProxy: boolean | readonly string[]): (peer: string) => boolean {
  if (typeof trustProxy === "boolean") return () => trustProxy;
  const networks = new BlockList();
  for (const entry of trustProxy) addNetwork(networks, entry);
  return (peer) => {
    const address = peer.startsWith("::ffff:") ? peer.slice(7) : peer;
    const family = isIP(address);
    return family !== 0 && networks.check(address, family === 4 ? "ipv4" : "ipv6");
  };
}

function addNetwork(networks: BlockList, entry: string): void {
  const [address = "", prefix, ...rest] = entry.split("/");
  const family = isIP(address);
  const bits = prefix === undefined ? (family === 4 ? 32 : 128) : Number(prefix);
  const isGood =
    family !== 0 && rest.length === 0 && /^\d{1,3}$/.test(prefix ?? "0") && bits <= (family === 4 ? 32 : 128);
  if (!isGood) {
    throw new OptionsError(
      `trustProxy: ${JSON.stringify(entry)} is neither an address nor a network such as 10.0.0.0/8.`,
    );
  }
  networks.addSubnet(address, bits, family === 4 ? "ipv4" : "ipv6");
}
