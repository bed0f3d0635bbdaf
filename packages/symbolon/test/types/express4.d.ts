/** Express 4 under its alias: what the tests use of it is the same in the types of 5. */
declare module "express4" {
  import type { Express, Router } from "express";

  interface MakeExpress {
    (): Express;
    Router(): Router;
  }

  const express: MakeExpress;
  export default express;
}
