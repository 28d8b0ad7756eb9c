/**
 * Contexts, which say when work must stop and why; tasks; and the process.
 *
 * Uses web APIs only, and is tested in Deno, Node and Bun. `main` and
 * `notifyContext` need Deno.
 *
 * @example A deadline, handed down
 * ```ts
 * import { background, type Context, withTimeout } from "@curfew/context/context";
 *
 * async function answer(ctx: Context): Promise<number> {
 *   await new Promise((resolve) => setTimeout(resolve, 1));
 *   if (ctx.err) throw ctx.err;
 *   return 42;
 * }
 *
 * using ctx = withTimeout(background(), 1000);
 * console.log(await answer(ctx)); // 42
 * ```
 *
 * @module
 */

export type { CancelableContext, Context } from "./context.ts";
export { Canceled, type ContextError, DeadlineExceeded } from "./errors.ts";
export { createKey, type Key } from "./key.ts";
export { background, todo } from "./background.ts";
export { withCancel } from "./with_cancel.ts";
export {
  type DeadlineOptions,
  withDeadline,
  withTimeout,
} from "./with_deadline.ts";
export { withSignal } from "./with_signal.ts";
export { withValue } from "./with_value.ts";
export { withoutCancel } from "./without_cancel.ts";
export { withGrace } from "./with_grace.ts";
export { draining } from "./draining.ts";
export { afterFunc } from "./after_func.ts";
export { cause } from "./cause.ts";
export { isCanceled } from "./is_canceled.ts";
export { remaining } from "./remaining.ts";
export { type Snapshot, snapshot } from "./snapshot.ts";
export { sleep } from "./sleep.ts";
export { every } from "./every.ts";
export { orDone, type OrDoneOptions } from "./or_done.ts";
export { untilDone } from "./until_done.ts";
export { type Backoff, retry, type RetryOptions } from "./retry.ts";
export { singleFlight, type SingleFlightOptions } from "./single_flight.ts";
export type { DeadlineHeader } from "./deadline_header.ts";
export {
  type ContextRequestInit,
  requestInit,
  type RequestInitOptions,
} from "./request_init.ts";
export {
  contextPort,
  type PortContext,
  type PortOptions,
  withPort,
} from "./context_port.ts";
export { WaitGroup } from "./wait_group.ts";
export { type Group, group, type GroupOptions } from "./group.ts";
export type { OsSignal } from "./os_signal.ts";
export {
  main,
  type MainOptions,
  notifyContext,
  SignalError,
} from "./process.ts";
