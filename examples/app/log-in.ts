import type { Session } from "symbolon";
import { CARRIED_OVER, type Visit } from "./sessions.ts";
import { rolesOf, type User, type Users } from "./users.ts";

/** Logs in a user whose password was right. */
export async function logIn(session: Session<Visit>, users: Users, user: User, remember: boolean): Promise<void> {
  await session.login(user.id, { carry: carriedBy(session, user), roles: rolesOf(user), stamp: user.stamp, remember });
  // The role may have been given or taken while the password was checked.
  await session.setRoles(rolesOf(users.find(user.id) ?? user));
}

/** What a visitor wrote before comes along, and all when a user logs in again; never what another user wrote. */
function carriedBy({ state, userId }: Session<Visit>, user: User): readonly string[] | "all" {
  if (userId === user.id) return "all";
  return state === "anonymous" ? CARRIED_OVER : [];
}
