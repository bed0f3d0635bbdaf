import type { Audit } from "./audit.ts";
import type { Sessions } from "./sessions.ts";
import type { Users } from "./users.ts";

/** What the routes work with. */
export interface Services {
  readonly sessions: Sessions;
  readonly users: Users;
  readonly audit: Audit;
  readonly devicesPerUser: number;
}
