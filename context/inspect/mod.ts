/**
 * A look into a running program: the contexts that are open, what they are for and
 * since when, what ended lately and why, and what was never ended.
 *
 * @example
 * ```ts
 * import { background, withTimeout } from "@curfew/context";
 * import { inspect } from "@curfew/context/inspect";
 *
 * using inspector = inspect();
 * using _ctx = withTimeout(background(), 60_000);
 * console.log(inspector.tree().open); // 1
 * ```
 *
 * @module
 */

export type { EndedContext } from "./ended_context.ts";
export type { InspectEvent } from "./event_queue.ts";
export { inspect, type InspectOptions, type Inspector } from "./inspector.ts";
export type { Context } from "../context.ts";
export type { Canceled, ContextError, DeadlineExceeded } from "../errors.ts";
export type { Key } from "../key.ts";
export type { Purpose } from "../tree_observer.ts";
export type { ContextKind } from "./kind.ts";
export type {
  LiveContext,
  LiveTree,
  MoreContexts,
  TreeLimits,
} from "./live_tree.ts";
export type { DroppedContexts, Suspect, Suspects } from "./suspects.ts";
export {
  type InspectHandler,
  inspectRoutes,
  type InspectRoutesOptions,
} from "./inspect_routes.ts";
export { type SpanLike, type TracerLike, withSpan } from "./with_span.ts";
