/** The timers of the real clock. */

/**
 * Real time, also while a test's clock is installed: what waits for the kernel
 * or a client waits in it.
 */
export const realTimers: {
  setTimeout: typeof setTimeout;
  clearTimeout: typeof clearTimeout;
} = { setTimeout, clearTimeout };
