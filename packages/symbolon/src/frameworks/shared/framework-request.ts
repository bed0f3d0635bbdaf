/** How a request came, where the framework has a setting of its own for proxies. */
import type { Connection } from "../../http/index.ts";

/** What Express, Koa and Fastify say of a request, by their own settings. */
export interface FrameworkRequest {
  readonly ip?: string | undefined;
}

/** Secure where either setting says so; the address by `trustProxy` where that is set, else by the framework's own setting. */
export class FrameworkConnection implements Connection {
  readonly secure: boolean;
  readonly loopback: boolean;
  readonly #request: FrameworkRequest;
  readonly #own: Connection;
  readonly #isOwn: boolean;

  constructor(request: FrameworkRequest, isSecure: boolean, own: Connection, isOwn: boolean) {
    this.secure = own.secure || isSecure;
    this.loopback = own.loopback;
    this.#request = request;
    this.#own = own;
    this.#isOwn = isOwn;
  }

  get ip(): string | null {
    return (this.#isOwn ? this.#own.ip : this.#request.ip) ?? null;
  }
}

/** The form field `_csrf`, where a body parser has read it. */
export function formTokenOf(body: unknown): unknown {
  return typeof body === "object" && body !== null && "_csrf" in body ? body._csrf : undefined;
}
