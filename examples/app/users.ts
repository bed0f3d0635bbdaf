/** The accounts: a table in the same file as the sessions. */
import { randomBytes, randomUUID } from "node:crypto";
import type { SqliteClient, SqliteStatement } from "symbolon/stores/sqlite";
import { hashPassword, passwordMatches } from "./password.ts";

/** A user, as the rest of the application may know them. */
export interface User {
  /** Opaque, and never given to anybody else: what sessions name their user by. */
  readonly id: string;
  /** What the user logs in with, in lower case. */
  readonly name: string;
  readonly isAdmin: boolean;
  /** Random, and another after each change of password: sessions with an older one are over. */
  readonly stamp: string;
  /** Milliseconds since the epoch. */
  readonly createdAt: number;
}

interface Row {
  readonly id: string;
  readonly name: string;
  readonly password_hash: string;
  readonly stamp: string;
  readonly is_admin: number | bigint;
  readonly created_at: number | bigint;
}

/**
 * Passwords may be tried this often in this time, from whatever device; right ones are not counted.
 *
 * That makes guessing hopeless, and lets anybody lock an account for a while whose name they know. A larger
 * application also counts by network, and lets devices through that have been logged in before.
 */
const TRIES = 10;
const TRIES_MINUTES = 15;

/** One text for a wrong name, a wrong password and too many tries: it must not tell which. */
export const NO_MATCH: string = `Name and password do not match. ${TRIES} wrong ones in a row, and you have to wait for ${TRIES_MINUTES} minutes.`;
/** For a user who is known already. */
export const WRONG_PASSWORD: string = `That is not your password. ${TRIES} wrong ones in a row, and you have to wait for ${TRIES_MINUTES} minutes.`;

const TABLE = `CREATE TABLE IF NOT EXISTS users (
  id TEXT PRIMARY KEY, name TEXT NOT NULL UNIQUE, password_hash TEXT NOT NULL, stamp TEXT NOT NULL,
  is_admin INTEGER NOT NULL, created_at INTEGER NOT NULL,
  tries INTEGER NOT NULL DEFAULT 0, tries_end_at INTEGER NOT NULL DEFAULT 0
)`;

/** The first account is the administrator's. */
const ADD = `INSERT INTO users (id, name, password_hash, stamp, created_at, is_admin)
  VALUES (?, ?, ?, ?, ?, NOT EXISTS (SELECT 1 FROM users)) ON CONFLICT (name) DO NOTHING RETURNING *`;

/** Counts a try before the password is looked at, so that tries at the same time are counted, too. */
const takeTry = (column: "id" | "name"): string => `UPDATE users SET
  tries = CASE WHEN tries_end_at <= ? THEN 1 ELSE tries + 1 END,
  tries_end_at = CASE WHEN tries_end_at <= ? THEN ? ELSE tries_end_at END
  WHERE ${column} = ? AND (tries < ${TRIES} OR tries_end_at <= ?) RETURNING *`;

/** There is always an administrator: whoever is the only one cannot go, nor give up the role. */
const IS_REPLACEABLE = "(NOT is_admin OR (SELECT count(*) FROM users WHERE is_admin) > 1)";
const IS_ALONE = "(SELECT count(*) FROM users) = 1";

/** Every change is one statement, so several processes may share the file. */
export class Users {
  readonly #sql: ReturnType<typeof prepare>;

  constructor(client: SqliteClient) {
    for (const sql of ["PRAGMA busy_timeout=5000", "PRAGMA synchronous=NORMAL"]) client.exec(sql);
    // In a transaction that writes from the start, other processes that do the same are waited for.
    client.exec(`BEGIN IMMEDIATE; ${TABLE}; COMMIT`);
    this.#sql = prepare(client);
  }

  /** Adds a user; null when the name is taken. */
  async add(name: string, password: string): Promise<User | null> {
    const hash = await hashPassword(password);
    return userOf(this.#sql.add.all(randomUUID(), name, hash, newStamp(), Date.now()));
  }

  /** The user with this name and this password; null for a wrong one, for too many tries, and when there is no such user. */
  logIn(name: string, password: string): Promise<User | null> {
    return this.#check(this.#sql.tryByName, name, password);
  }

  /** The same for a user who is known already. */
  confirm(id: string, password: string): Promise<User | null> {
    return this.#check(this.#sql.tryById, id, password);
  }

  /** Sets another password, if the present one is right; answers the user with the new stamp. */
  async changePassword(id: string, present: string, next: string): Promise<User | null> {
    const user = await this.confirm(id, present);
    if (user === null) return null;
    // Of two changes at once, the later one finds another stamp.
    return userOf(this.#sql.changePassword.all(await hashPassword(next), newStamp(), id, user.stamp));
  }

  find(id: string): User | null {
    return userOf(this.#sql.find.all(id));
  }

  findByName(name: string): User | null {
    return userOf(this.#sql.findByName.all(name));
  }

  /** The first users after this name, in the order of their names. */
  list(after: string, limit: number): User[] {
    return this.#sql.list.all(after, limit).map((row) => toUser(row as Row));
  }

  /** Gives or takes the role; null for an unknown user, and for the only administrator. */
  setAdmin(id: string, isAdmin: boolean): User | null {
    return userOf(isAdmin ? this.#sql.giveAdmin.all(id) : this.#sql.takeAdmin.all(id));
  }

  /** Answers the user that is no more; null for the only administrator while there are others. */
  remove(id: string): User | null {
    return userOf(this.#sql.remove.all(id));
  }

  /** The same work for everybody, so that neither answer nor time tells whether an account exists. */
  async #check(takeOne: SqliteStatement, who: string, password: string): Promise<User | null> {
    const now = Date.now();
    const [row] = takeOne.all(now, now, now + TRIES_MINUTES * 60_000, who, now) as Row[];
    if (!(await passwordMatches(password, row?.password_hash ?? null)) || row === undefined) return null;
    this.#sql.forgetTries.run(row.id);
    return toUser(row);
  }
}

/** What the user's sessions may do. */
export function rolesOf({ isAdmin }: User): readonly string[] {
  return isAdmin ? ["admin"] : [];
}

function prepare(client: SqliteClient) {
  return {
    add: client.prepare(ADD),
    tryByName: client.prepare(takeTry("name")),
    tryById: client.prepare(takeTry("id")),
    forgetTries: client.prepare("UPDATE users SET tries = 0 WHERE id = ?"),
    changePassword: client.prepare(
      "UPDATE users SET password_hash = ?, stamp = ? WHERE id = ? AND stamp = ? RETURNING *",
    ),
    find: client.prepare("SELECT * FROM users WHERE id = ?"),
    findByName: client.prepare("SELECT * FROM users WHERE name = ?"),
    list: client.prepare("SELECT * FROM users WHERE name > ? ORDER BY name LIMIT ?"),
    giveAdmin: client.prepare("UPDATE users SET is_admin = 1 WHERE id = ? RETURNING *"),
    takeAdmin: client.prepare(`UPDATE users SET is_admin = 0 WHERE id = ? AND ${IS_REPLACEABLE} RETURNING *`),
    remove: client.prepare(`DELETE FROM users WHERE id = ? AND (${IS_REPLACEABLE} OR ${IS_ALONE}) RETURNING *`),
  };
}

function newStamp(): string {
  return randomBytes(16).toString("base64url");
}

function userOf(rows: readonly unknown[]): User | null {
  return rows.length === 0 ? null : toUser(rows[0] as Row);
}

function toUser({ id, name, stamp, is_admin, created_at }: Row): User {
  return { id, name, stamp, isAdmin: Number(is_admin) === 1, createdAt: Number(created_at) };
}
