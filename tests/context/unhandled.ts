/** Unhandled rejections and uncaught errors. */

import { turn } from "./outcome.ts";

/** Runs `f`, and gives the reasons of those that it has left behind. */
export async function unhandledIn(
  f: () => unknown,
): Promise<readonly unknown[]> {
  const reasons: unknown[] = [];
  const listener = (event: PromiseRejectionEvent) => {
    event.preventDefault();
    reasons.push(event.reason);
  };
  globalThis.addEventListener("unhandledrejection", listener);
  try {
    await f();
    // They are reported once the microtasks have run.
    await turn();
    await turn();
  } finally {
    globalThis.removeEventListener("unhandledrejection", listener);
  }
  return reasons;
}

/** Runs `f`, and gives the messages of the errors of its event listeners. */
export function uncaughtIn(f: () => void): readonly string[] {
  const messages: string[] = [];
  const listener = (event: ErrorEvent) => {
    event.preventDefault();
    messages.push(event.error.message);
  };
  globalThis.addEventListener("error", listener);
  try {
    f();
  } finally {
    globalThis.removeEventListener("error", listener);
  }
  return messages;
}
