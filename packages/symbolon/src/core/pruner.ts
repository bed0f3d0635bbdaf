/**
 * Removes expired records in the background. The pause is drawn anew each time, between three quarters and five
 * quarters of `every`, so that processes started together do not prune together. The timer keeps no process alive.
 */
export function startPruner(every: number | null, prune: () => Promise<unknown>): () => void {
  if (every === null) return () => undefined;
  let timer: NodeJS.Timeout;
  let stopped = false;
  const schedule = (): void => {
    // Timers hold at most 2^31-1 ms.
    timer = setTimeout(run, Math.min(every * (0.75 + Math.random() / 2), 2_147_483_647)).unref();
  };
  const run = (): void => {
    // A failed round is not lost: the store calls have raised its event, and the next round comes.
    void prune()
      .catch(() => undefined)
      .finally(() => {
        if (!stopped) schedule();
      });
  };
  schedule();
  return () => {
    stopped = true;
    clearTimeout(timer);
  };
}
