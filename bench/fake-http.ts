/**
 * A request and a response with just what session middleware touches, and no socket.
 *
 * Node's own objects cost more than a session does; with these the comparison is of the sessions.
 */

type HeaderValue = number | string | readonly string[];

/** A GET over https, with one cookie. */
export class FakeRequest {
  readonly method = "GET";
  readonly url = "/";
  readonly headers: Record<string, string | undefined>;
  readonly socket: { readonly remoteAddress: string; readonly encrypted: boolean } = {
    remoteAddress: "127.0.0.1",
    encrypted: true,
  };
  /** Where express-session puts its session. */
  declare session: { [name: string]: unknown };

  constructor(cookie: string) {
    this.headers = { host: "localhost", accept: "*/*", cookie };
  }
}

/** Behaves as `http.ServerResponse` does, in the order of its calls: `end` writes the headers first. */
export class FakeResponse {
  statusCode = 200;
  statusMessage = "OK";
  readonly #headers = new Map<string, HeaderValue>();
  readonly #onEnd: (response: FakeResponse) => void;
  #isSent = false;
  #isEnded = false;

  constructor(onEnd: (response: FakeResponse) => void) {
    this.#onEnd = onEnd;
  }

  get headersSent(): boolean {
    return this.#isSent;
  }

  get writableEnded(): boolean {
    return this.#isEnded;
  }

  /** Read by express-session. */
  get _header(): boolean {
    return this.#isSent;
  }

  _implicitHeader(): void {
    this.writeHead(this.statusCode);
  }

  writeHead(status: number): this {
    this.statusCode = status;
    this.#isSent = true;
    return this;
  }

  flushHeaders(): void {
    if (!this.#isSent) this._implicitHeader();
  }

  write(_chunk: string): boolean {
    if (!this.#isSent) this._implicitHeader();
    return true;
  }

  end(_chunk?: string): this {
    if (!this.#isSent) this._implicitHeader();
    this.#isEnded = true;
    this.#onEnd(this);
    return this;
  }

  getHeader(name: string): number | string | string[] | undefined {
    return this.#headers.get(name.toLowerCase()) as number | string | string[] | undefined;
  }

  setHeader(name: string, value: HeaderValue): this {
    this.#headers.set(name.toLowerCase(), value);
    return this;
  }

  removeHeader(name: string): void {
    this.#headers.delete(name.toLowerCase());
  }

  destroy(error?: Error): this {
    throw error ?? new Error("The response was cut.");
  }

  once(): this {
    return this;
  }

  emit(): boolean {
    return false;
  }
}

/** Runs one request through a handler; resolves with the response when its last byte is sent. */
export function serve(
  cookie: string,
  handle: (request: FakeRequest, response: FakeResponse) => void,
): Promise<FakeResponse> {
  return new Promise((resolve) => {
    handle(new FakeRequest(cookie), new FakeResponse(resolve));
  });
}

/** The `name=value` of the cookie that a response sets. */
export function cookieOf(response: FakeResponse): string {
  const [first] = [response.getHeader("set-cookie") ?? []].flat();
  const pair = String(first ?? "").split(";")[0];
  if (pair === undefined || pair === "") throw new Error("The response sets no cookie.");
  return pair;
}
