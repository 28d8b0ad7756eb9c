/** The state of a promise, read without waiting for it. */

/** Captured before any test replaces it by a fake one. */
const { setTimeout } = globalThis;

/** A promise's state, as far as it is known. */
export interface Outcome<T> {
  state: "pending" | "resolved" | "rejected";
  value?: T;
  error?: unknown;
}

/** The outcome of `promise`, brought up to date when there is one. */
export function outcomeOf<T>(promise: Promise<T>): Outcome<T> {
  const outcome: Outcome<T> = { state: "pending" };
  promise.then(
    (value) => Object.assign(outcome, { state: "resolved", value }),
    (error) => Object.assign(outcome, { state: "rejected", error }),
  );
  return outcome;
}

/** A turn of the real event loop: all microtasks have run by then. */
export function turn(): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve));
}
