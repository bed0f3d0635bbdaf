/** A store call with a time limit of its own. */
import type { StoreCall } from "../../core/store.ts";
import { StoreTimeoutError } from "../../errors.ts";

/** A call that is aborted when its time is up. */
export interface LimitedCall extends StoreCall {
  /** Rejects when the time is up; race it against the work. */
  readonly late: Promise<never>;
  /** Stops the timer. */
  done(): void;
}

/** Starts a call that may last `timeout` milliseconds. */
export function limitedCall(now: number, timeout: number): LimitedCall {
  let controller: AbortController | null = null;
  let timer: NodeJS.Timeout;
  const late = new Promise<never>((_resolve, reject) => {
    timer = setTimeout(() => {
      controller?.abort();
      reject(new StoreTimeoutError(`The store did not answer within ${timeout} ms.`));
    }, timeout);
  });
  return {
    now,
    late,
    get signal() {
      return (controller ??= new AbortController()).signal;
    },
    done: () => clearTimeout(timer),
  };
}
