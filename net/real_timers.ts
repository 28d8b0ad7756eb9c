/** Timers of the real clock. */

/**
 * Timers that run in real time even under a fake clock, for waits on the kernel or
 * on a peer. Tests may replace them.
 */
export const realTimers: {
  setTimeout: typeof setTimeout;
  clearTimeout: typeof clearTimeout;
} = { setTimeout, clearTimeout };

/** Resolves after `ms` of real time. */
export function pause(ms: number): Promise<void> {
  return new Promise((resolve) => realTimers.setTimeout(resolve, ms));
}
