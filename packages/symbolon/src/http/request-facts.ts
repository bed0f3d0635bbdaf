/** What a request says of itself. */
import type { Client } from "../core/device.ts";
import type { HeaderSource } from "./carrier.ts";

/** How the request came. A binding knows; `openSession` alone takes the caller's word. */
export interface Connection {
  /** Whether the client's side of it is https, by the socket or by a trusted proxy. */
  readonly secure: boolean;
  /** Whether the peer is on this machine; only asked in `development`. */
  readonly loopback: boolean;
  /** The client's address, when it is known. */
  readonly ip?: string | null;
}

/**
 * What a request says, read when it is asked for: most requests never ask for their client.
 *
 * Once the response is decided it is let go: the request, by which its session is found, would keep itself in memory until
 * the next full collection, and a collector that is busy with that costs a request more than all else.
 */
export class RequestFacts implements Client, HeaderSource {
  #headers: HeaderSource | null;
  #connection: Connection | null;

  constructor(headers: HeaderSource, connection: Connection) {
    this.#headers = headers;
    this.#connection = connection;
  }

  get(name: string): string | null | undefined {
    return this.#headers?.get(name);
  }

  get ip(): string | null {
    return this.#connection?.ip ?? null;
  }

  get userAgent(): string | null {
    return this.get("user-agent") ?? null;
  }

  get isGone(): boolean {
    return this.#headers === null;
  }

  letGo(): void {
    this.#headers = null;
    this.#connection = null;
  }
}
