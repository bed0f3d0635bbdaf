/** What a Node request says of itself: headers, and how it came. */
import { BlockList, isIP, isIPv4 } from "node:net";
import { OptionsError } from "../../errors.ts";
import { type Connection, forwardedFor, type HeaderSource, normalAddress } from "../../http/index.ts";

/** The part of `http.IncomingMessage` and `http2.Http2ServerRequest` that is read. */
export interface NodeRequest {
  readonly method?: string | undefined;
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
  const proxies = trustedProxies(trustProxy);
  return (request) => new NodeConnection(request, proxies);
}

/** Reads the address when it is asked for: most requests never ask. */
class NodeConnection implements Connection {
  readonly secure: boolean;
  readonly loopback: boolean;
  readonly #request: NodeRequest;
  readonly #peer: string;
  readonly #proxies: TrustedProxies;

  constructor(request: NodeRequest, proxies: TrustedProxies) {
    const peer = request.socket.remoteAddress ?? "";
    this.secure = request.socket.encrypted === true || (saysHttps(request) && proxies.isPeer(peer));
    this.loopback = isLoopback(peer);
    this.#request = request;
    // Kept, because a socket that closes forgets it.
    this.#peer = peer;
    this.#proxies = proxies;
  }

  /** The peer's, or behind a trusted proxy what that says: without a readable `X-Forwarded-For` nobody knows. */
  get ip(): string | null {
    if (!this.#proxies.isPeer(this.#peer)) return normalAddress(this.#peer);
    return forwardedFor(headersOf(this.#request).get("x-forwarded-for") ?? null, this.#proxies.isListed);
  }
}

/** Exactly one value: a list could hold one that the client sent. */
function saysHttps(request: NodeRequest): boolean {
  return request.headers["x-forwarded-proto"] === "https";
}

function isLoopback(address: string): boolean {
  return address === "::1" || address.startsWith("127.") || address.startsWith("::ffff:127.");
}

interface TrustedProxies {
  /** Whether the headers of this peer are believed. */
  readonly isPeer: (address: string) => boolean;
  /** Whether an address that a header names is a trusted proxy too: with `true`, the peer alone is trusted. */
  readonly isListed: (address: string) => boolean;
}

function trustedProxies(trustProxy: boolean | readonly string[]): TrustedProxies {
  if (typeof trustProxy === "boolean") return { isPeer: () => trustProxy, isListed: () => false };
  const networks = new BlockList();
  for (const entry of trustProxy) addNetwork(networks, entry);
  const isListed = (text: string): boolean => {
    const address = normalAddress(text);
    return address !== null && networks.check(address, isIPv4(address) ? "ipv4" : "ipv6");
  };
  return { isPeer: isListed, isListed };
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
