/** PostgreSQL's own ways. */
import type { LockStatements, SqlDialect } from "./sql-dialect.ts";
import { endingValuesOf } from "./sql-rows.ts";
import { type SqlStatements, sqlStatements, updateOf } from "./sql-statements.ts";
import type { PostgresTables } from "./postgres-tables.ts";

/** Microseconds since the epoch by the server's clock, also late in a transaction. */
const CLOCK = "(extract(epoch FROM clock_timestamp()) * 1000000)::bigint";

// A message is a letter, for what it is about, and the lookup or the lock.
const LOOKUP = "'c' || lookup";
const LOCK = "'r' || lock";

/** Writes the statements; with a channel they tell there, in the same step, what they wrote. */
export function postgresDialect({ sessions, locks }: PostgresTables, channel: string | null): SqlDialect {
  const common = sqlStatements(sessions, {
    least: "least",
    noBytes: "''::bytea",
    fromNothing: "",
    unlessTaken: "ON CONFLICT (lookup) DO NOTHING",
  });
  const statements = channel === null ? common : telling(common, channel);

  return {
    statements,
    needsTransactions: false,

    except: (lookups) => ({
      where: "lookup NOT IN (SELECT jsonb_array_elements_text(?::text::jsonb))",
      values: [JSON.stringify(lookups)],
    }),

    async end(run, { where, values, limit }, ending, now) {
      // What somebody else ended since it was found is not ended again.
      const some = `lookup IN (SELECT lookup FROM ${sessions} WHERE ${where} LIMIT ?) AND ended_at IS NULL`;
      const text = `${statements.end(limit === undefined ? where : some)} RETURNING lookup, deadline`;
      const limited = limit === undefined ? values : [...values, limit];
      const returning = channel === null ? text : told(text, LOOKUP, channel, "lookup, deadline, ");
      const { rows } = await run(returning, [...endingValuesOf(ending), ...limited]);
      for (const [lookup, deadline] of rows) {
        if (Number(deadline) <= now) await run(statements.deleteTombstone, [String(lookup), now]);
      }
      return rows.length;
    },

    async prune(run, bucket, before, limit) {
      const text = `DELETE FROM ${sessions} WHERE lookup = ANY(ARRAY(${statements.due} FOR UPDATE SKIP LOCKED))`;
      return (await run(text, [bucket, before, limit])).affected;
    },

    locks: lockStatements(locks, common, channel),
  };
}

function telling(statements: SqlStatements, channel: string): SqlStatements {
  const updated = (text: string): string => told(`${text} RETURNING lookup`, LOOKUP, channel);
  const { update, updateData, replace } = statements;
  return { ...statements, update: updated(update), updateData: updated(updateData), replace: updated(replace) };
}

/** A statement that tells of each row which it returns; what is told travels when it commits. */
function told(text: string, message: string, channel: string, columns = ""): string {
  return `WITH told AS (${text}) SELECT ${columns}pg_notify('${channel}', ${message}) FROM told`;
}

function lockStatements(locks: string, statements: SqlStatements, channel: string | null): LockStatements {
  const mine = `space = ? AND lock = ? AND holder = ? AND expires_at > ${CLOCK}`;
  const release = `UPDATE ${locks} SET expires_at = -${CLOCK} WHERE ${mine}`;
  const take =
    `INSERT INTO ${locks} AS held (space, lock, holder, fence, expires_at) ` +
    `VALUES (?, ?, ?, ${CLOCK}, ${CLOCK} + ?) ON CONFLICT (space, lock) DO UPDATE SET holder = excluded.holder, ` +
    `fence = CASE WHEN held.expires_at > ${CLOCK} THEN held.fence ELSE greatest(held.fence + 1, excluded.fence) END, ` +
    `expires_at = excluded.expires_at WHERE held.holder = excluded.holder OR held.expires_at <= ${CLOCK} ` +
    "RETURNING fence";
  const look =
    `SELECT holder, fence, ceil((expires_at - ${CLOCK}) / 1000.0) FROM ${locks} ` +
    `WHERE space = ? AND lock = ? AND expires_at > ${CLOCK}`;
  const counted = channel === null ? "count(*)" : `count(pg_notify('${channel}', ${LOOKUP}))`;
  // Each part waits for what it names: the record's row, then the lock's, then the clock, then the write.
  const underLock = (update: string): string =>
    `WITH found AS MATERIALIZED (${statements.versionForUpdate}), ` +
    `locked AS MATERIALIZED (SELECT expires_at FROM ${locks} WHERE space = ? AND lock = ? AND holder = ? ` +
    "AND (SELECT count(*) FROM found) >= 0 FOR UPDATE), " +
    `held AS MATERIALIZED (SELECT 1 FROM locked WHERE expires_at > ${CLOCK}), ` +
    `written AS (${update} AND (SELECT count(*) FROM held) > 0 RETURNING lookup) ` +
    `SELECT (SELECT count(*) FROM held), (SELECT count(*) FROM found), (SELECT ${counted} FROM written)`;
  const updates = { update: underLock(statements.update), updateData: underLock(statements.updateData) };

  return {
    async acquire(run, { space, lock }, holder, lease) {
      const taken = (await run(take, [space, lock, holder, lease])).rows[0];
      if (taken !== undefined) return { holder, fence: Number(taken[0]), remaining: lease / 1000 };
      const held = (await run(look, [space, lock])).rows[0];
      if (held === undefined) return null;
      return { holder: String(held[0]), fence: Number(held[1]), remaining: Number(held[2]) };
    },
    renew: `UPDATE ${locks} SET expires_at = ${CLOCK} + ? WHERE ${mine}`,
    release: channel === null ? release : told(`${release} RETURNING lock`, LOCK, channel),
    async update(run, key, expectedVersion, change, { lock, holder }) {
      const { lookup, space } = key;
      const [text, values] = updateOf(updates, key, expectedVersion, change);
      const { rows } = await run(text, [lookup, space, space, lock, holder, ...values]);
      const [held, found, written] = (rows[0] ?? []).map(Number);
      if (!held) return "lost";
      if (written) return "updated";
      return found ? "conflict" : "missing";
    },
    prune:
      `DELETE FROM ${locks} WHERE (space, lock) IN (SELECT space, lock FROM ${locks} ` +
      `WHERE expires_at > ? - ${CLOCK} AND expires_at < ${CLOCK} - ? ORDER BY expires_at LIMIT ? FOR UPDATE SKIP LOCKED)`,
  };
}
