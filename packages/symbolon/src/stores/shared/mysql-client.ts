/** A promise pool of `mysql2` as a `SqlClient`. */
import { type MysqlTables, SLOTS } from "./mysql-tables.ts";
import {
  factOf,
  type Diagnosis,
  type Lending,
  type Run,
  type SqlAnswer,
  type SqlClient,
  type SqlLock,
  withConnection,
} from "./sql-client.ts";
import type { SqlValue } from "./sql-rows.ts";

/** The methods of a pool of `mysql2/promise` that are used. */
export interface MysqlClient {
  getConnection(): Promise<MysqlConnection>;
}

/** The methods of a connection of the pool that are used. */
export interface MysqlConnection {
  query(text: string): Promise<unknown>;
  execute(statement: MysqlStatement): Promise<[result: unknown, fields: unknown]>;
  release(): void;
  destroy(): void;
}

/** A statement for `execute`. */
export interface MysqlStatement {
  readonly sql: string;
  readonly values: (string | number | null | Buffer)[];
  readonly rowsAsArray: boolean;
}

/** The columns are as wide; a server that is not in strict mode would cut what is longer. */
const LONGEST_TEXT = 255;

const DUPLICATE = 1062;

/** Takes a connection of the pool for each call. */
export function mysqlClient(pool: MysqlClient, { slots }: MysqlTables): SqlClient {
  const lending: Lending<MysqlConnection> = {
    borrow: () => pool.getConnection(),
    giveBack: (connection, isUsable) => (isUsable ? connection.release() : connection.destroy()),
    isUsableAfter: (error) => isAnswer(error) && diagnose(error) !== "read-only",
  };

  return {
    database: "MySQL",
    diagnose,

    run: (text, values, signal) => withConnection(lending, signal, (connection) => execute(connection, text, values)),

    transaction: (locks, signal, work) =>
      withConnection(lending, signal, async (connection) => {
        const run: Run = (text, values) => execute(connection, text, values);
        await connection.query("SET TRANSACTION ISOLATION LEVEL READ COMMITTED");
        await connection.query("START TRANSACTION");
        try {
          for (const lock of locks) await lockSlot(run, slots, lock);
          const answer = await work(run);
          await connection.query("COMMIT");
          return answer;
        } catch (error) {
          if (lending.isUsableAfter(error)) await connection.query("ROLLBACK");
          throw error;
        }
      }),
  };
}

async function execute(connection: MysqlConnection, sql: string, values: readonly SqlValue[]): Promise<SqlAnswer> {
  try {
    const [result] = await connection.execute({ sql, values: values.map(bound), rowsAsArray: true });
    if (Array.isArray(result)) return { rows: result as unknown[][], affected: result.length };
    return { rows: [], affected: Number(factOf(result, "affectedRows")) };
  } catch (error) {
    if (factOf(error, "errno") === DUPLICATE) return { rows: [], affected: 0 };
    throw error;
  }
}

/** Bytes as the client knows them, and no text that would not fit. */
function bound(value: SqlValue): string | number | null | Buffer {
  if (value instanceof Uint8Array) return Buffer.from(value.buffer, value.byteOffset, value.length);
  if (typeof value !== "string" || Buffer.byteLength(value) <= LONGEST_TEXT) return value;
  throw new RangeError(`Text may have ${LONGEST_TEXT} bytes at most.`);
}

/** Owners before spaces, as everybody takes them. */
async function lockSlot(run: Run, slots: string, { kind, number }: SqlLock): Promise<void> {
  const slot = kind === "space" ? SLOTS.owner + (number % SLOTS.space) : number % SLOTS.owner;
  const { rows } = await run(`SELECT slot FROM ${slots} WHERE slot = ? FOR UPDATE`, [slot]);
  if (rows.length === 0) throw new Error(`The table ${slots} lacks rows; run the statements of its migration again.`);
}

/** Whether the server has answered with an error, and the connection lives on. */
function isAnswer(error: unknown): boolean {
  return typeof factOf(error, "sqlState") === "string" && factOf(error, "fatal") !== true;
}

/** What an error of the server says, by its number. */
function diagnose(error: unknown): Diagnosis {
  switch (factOf(error, "errno")) {
    // In each other's way: a deadlock, a lock that did not come, and, in MariaDB, a row that changed meanwhile.
    case 1213:
    case 1205:
    case 1020:
      return "repeatable";
    case 1146:
      return "no-table";
    // Options --read-only and --super-read-only, a read-only transaction, a server in read-only mode.
    case 1290:
    case 1792:
    case 1836:
      return "read-only";
    default:
      return "other";
  }
}
