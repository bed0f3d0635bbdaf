/** The part of express-session that is called here; the package ships no types. */
declare module "express-session" {
  interface Options {
    readonly secret: string;
    readonly resave: boolean;
    readonly saveUninitialized: boolean;
    readonly store: object;
  }
  type Middleware = (request: object, response: object, next: (error?: unknown) => void) => void;
  interface ExpressSession {
    (options: Options): Middleware;
    readonly MemoryStore: new () => object;
  }
  const session: ExpressSession;
  export default session;
}
