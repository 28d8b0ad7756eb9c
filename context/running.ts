/** What the process is still busy with, for `main` to say when it gives up. */

/**
 * Whatever can hold an end up (a server, a group of tasks) puts itself here for
 * as long as it lives: a function that says in a few words what it holds, or
 * undefined while it holds nothing.
 */
export const running: Set<() => string | undefined> = new Set();
