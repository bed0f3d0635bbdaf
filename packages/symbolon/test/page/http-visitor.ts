/** A visitor of the example application without a browser: keeps its cookie, and follows nowhere by itself. */

/** What was answered. */
export interface Answer {
  readonly status: number;
  readonly location: string | null;
  readonly text: string;
  readonly headers: Headers;
}

export class HttpVisitor {
  readonly #url: string;
  readonly #headers: Readonly<Record<string, string>>;
  cookie: string | null = null;

  /** `headers` are sent with everything; by default those of a browser on the application's own pages. */
  constructor(url: string, headers: Readonly<Record<string, string>> = { "Sec-Fetch-Site": "same-origin" }) {
    this.#url = url;
    this.#headers = headers;
  }

  get(path: string): Promise<Answer> {
    return this.#send(path, {});
  }

  post(path: string, fields: Readonly<Record<string, string>> = {}): Promise<Answer> {
    return this.#send(path, { method: "POST", body: new URLSearchParams(fields) });
  }

  /** Sends a form, and opens the page it leads to. */
  async submit(path: string, fields: Readonly<Record<string, string>> = {}): Promise<Answer> {
    const { status, location, text } = await this.post(path, fields);
    if (status !== 303 || location === null) throw new Error(`${path} was answered with ${status}: ${text}`);
    return this.get(location.replace(/#.*/, ""));
  }

  async signUp(name: string, password: string, fields: Readonly<Record<string, string>> = {}): Promise<Answer> {
    return this.submit("/signup", { name, password, ...fields });
  }

  async logIn(name: string, password: string, fields: Readonly<Record<string, string>> = {}): Promise<Answer> {
    return this.submit("/login", { name, password, ...fields });
  }

  async #send(path: string, init: RequestInit): Promise<Answer> {
    const headers = { ...this.#headers, ...(this.cookie !== null && { cookie: this.cookie }) };
    const answer = await fetch(this.#url + path, { ...init, headers, redirect: "manual" });
    for (const line of answer.headers.getSetCookie()) {
      const [pair = ""] = line.split(";");
      this.cookie = pair.endsWith("=") ? null : pair;
    }
    const { status } = answer;
    return { status, location: answer.headers.get("location"), text: await answer.text(), headers: answer.headers };
  }
}

/** The heading of a page. */
export function titleOf({ text }: Answer): string | undefined {
  return /<h1>([^<]*)<\/h1>/.exec(text)?.[1];
}

/** What a page says of a form, of what was done, and of why a session is over. */
export function messagesOf({ text }: Answer): string[] {
  const found = text.matchAll(/<(?:p class="(?:notice|ended)" role="status"|a href="#[^"]*")>([^<]*)</g);
  return [...found].map(([, message = ""]) => message);
}

/** The value of a hidden field, of the first form that has one. */
export function hiddenField({ text }: Answer, name: string): string | undefined {
  return new RegExp(`<input type="hidden" name="${name}" value="([^"]*)"`).exec(text)?.[1];
}
