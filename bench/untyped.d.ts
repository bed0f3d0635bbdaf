/** The parts of packages without types that are called here. */

declare module "express-session" {
  interface Options {
    readonly secret: string;
    readonly resave: boolean;
    readonly saveUninitialized: boolean;
    readonly store: object;
    readonly cookie?: object;
  }
  type Middleware = (request: object, response: object, next: (error?: unknown) => void) => void;
  interface MemoryStore {
    set(id: string, session: object, done: () => void): void;
  }
  interface ExpressSession {
    (options: Options): Middleware;
    readonly MemoryStore: new () => MemoryStore;
  }
  const session: ExpressSession;
  export default session;
}

declare module "cookie-session" {
  type Middleware = (request: object, response: object, next: (error?: unknown) => void) => void;
  export default function cookieSession(options: object): Middleware;
}

declare module "autocannon" {
  interface Client {
    setRequests(requests: readonly object[]): void;
  }
  interface Options {
    readonly url: string;
    readonly connections: number;
    readonly duration: number;
    readonly sampleInt: number;
    readonly setupClient: (client: Client) => void;
    readonly verifyBody: (body: string) => boolean;
  }
  interface Result {
    readonly "2xx": number;
    readonly non2xx: number;
    readonly errors: number;
    readonly mismatches: number;
    readonly duration: number;
    readonly latency: { readonly p50: number; readonly p99: number };
  }
  export default function autocannon(options: Options): Promise<Result>;
}
