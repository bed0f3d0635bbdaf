/** The ways of MySQL and MariaDB. */
import { TOMBSTONE_MS } from "../../core/store.ts";
import type { MysqlTables } from "./mysql-tables.ts";
import type { LockStatements, SqlDialect } from "./sql-dialect.ts";
import { endingValuesOf, textOf } from "./sql-rows.ts";
import { type SqlStatements, sqlStatements, updateOf } from "./sql-statements.ts";

/** Microseconds since the epoch by the server's clock, whatever the time zone of the connection. */
const CLOCK = "TIMESTAMPDIFF(MICROSECOND, '1970-01-01', UTC_TIMESTAMP(6))";

/** Writes the statements. */
export function mysqlDialect({ sessions, locks }: MysqlTables): SqlDialect {
  const statements = sqlStatements(sessions, {
    least: "least",
    noBytes: "x''",
    fromNothing: " FROM DUAL",
    // `INSERT IGNORE` would pass over other mistakes, too.
    unlessTaken: "",
  });

  return {
    statements,
    needsTransactions: true,

    except: (lookups) => {
      const values = padded(lookups);
      return { where: `lookup NOT IN (${marksFor(values)})`, values };
    },

    async end(run, { where, values, limit }, ending, now) {
      const [limited, limits] = limit === undefined ? ["", []] : [" LIMIT ?", [limit]];
      // There is no `RETURNING` to tell afterwards which tombstones are garbage. So what would be garbage goes first.
      const latest = ending.at + TOMBSTONE_MS;
      const garbage = `DELETE FROM ${sessions} WHERE ${where} AND least(deadline, ?) <= ?${limited}`;
      const gone = await run(garbage, [...values, latest, now, ...limits]);
      const ended = await run(`${statements.end(where)}${limited}`, [...endingValuesOf(ending), ...values, ...limits]);
      return gone.affected + ended.affected;
    },

    async prune(run, bucket, before, limit) {
      const { rows } = await run(`${statements.due} FOR UPDATE SKIP LOCKED`, [bucket, before, limit]);
      if (rows.length === 0) return 0;
      const lookups = padded(rows.map(([lookup]) => String(textOf(lookup))));
      // By the primary key, so that it meets no row but these: it would wait for those that others hold.
      const from = `DELETE ${sessions} FROM ${sessions} FORCE INDEX (PRIMARY)`;
      return (await run(`${from} WHERE lookup IN (${marksFor(lookups)})`, lookups)).affected;
    },

    locks: lockStatements(locks, statements),
  };
}

function lockStatements(locks: string, statements: SqlStatements): LockStatements {
  const mine = `space = ? AND \`lock\` = ? AND holder = ? AND expires_at > ${CLOCK}`;
  // The last assignment is right whether or not the one before it counts already, which a mode of MariaDB decides.
  const take =
    `INSERT INTO ${locks} (space, \`lock\`, holder, fence, expires_at) VALUES (?, ?, ?, ${CLOCK}, ${CLOCK} + ?) ` +
    `ON DUPLICATE KEY UPDATE fence = IF(expires_at > ${CLOCK}, fence, greatest(fence + 1, VALUES(fence))), ` +
    `holder = IF(expires_at > ${CLOCK}, holder, VALUES(holder)), ` +
    `expires_at = IF(expires_at > ${CLOCK} AND holder <> VALUES(holder), expires_at, VALUES(expires_at))`;
  const look =
    `SELECT holder, fence, ceil((expires_at - ${CLOCK}) / 1000) FROM ${locks} ` +
    `WHERE space = ? AND \`lock\` = ? AND expires_at > ${CLOCK}`;
  const whileMine = `AND EXISTS (SELECT 1 FROM ${locks} WHERE ${mine})`;
  const underLock = {
    update: `${statements.update} ${whileMine}`,
    updateData: `${statements.updateData} ${whileMine}`,
  };

  return {
    async acquire(run, { space, lock }, holder, lease) {
      await run(take, [space, lock, holder, lease]);
      const held = (await run(look, [space, lock])).rows[0];
      if (held === undefined) return null;
      return { holder: String(textOf(held[0])), fence: Number(held[1]), remaining: Number(held[2]) };
    },
    renew: `UPDATE ${locks} SET expires_at = ${CLOCK} + ? WHERE ${mine}`,
    release: `UPDATE ${locks} SET expires_at = -${CLOCK} WHERE ${mine}`,
    async update(run, key, expectedVersion, change, { lock, holder }) {
      const [found] = (await run(statements.versionForUpdate, [key.lookup, key.space])).rows;
      const held = await run(`SELECT 1 FROM ${locks} WHERE ${mine} FOR UPDATE`, [key.space, lock, holder]);
      if (held.rows.length === 0) return "lost";
      if (found === undefined) return "missing";
      if (Number(found[0]) !== expectedVersion) return "conflict";
      // Asked again by the clock of this statement: the one before may have waited for the row.
      const [text, values] = updateOf(underLock, key, expectedVersion, change);
      const { affected } = await run(text, [...values, key.space, lock, holder]);
      return affected > 0 ? "updated" : "lost";
    },
    prune: `DELETE FROM ${locks} WHERE expires_at > ? - ${CLOCK} AND expires_at < ${CLOCK} - ? ORDER BY expires_at LIMIT ?`,
  };
}

/**
 * The texts with the last one repeated, up to a power of two: a server keeps each statement that a client prepared, so
 * there must not be one for every number of values.
 */
function padded(texts: readonly string[]): string[] {
  const length = 2 ** Math.ceil(Math.log2(Math.max(texts.length, 1)));
  return Array.from({ length }, (_, index) => texts[index] ?? texts.at(-1) ?? "");
}

function marksFor(values: readonly unknown[]): string {
  return values.map(() => "?").join(", ");
}
