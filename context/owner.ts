/**
 * Ties servers and groups to the program that they run in.
 *
 * `main` stores its {@linkcode Owner} as a value in its context. Whatever starts
 * work under that context finds it there, also through `withoutCancel`. Without
 * `main` there is none, and nothing is registered anywhere.
 *
 * ```ts ignore
 * ownerOf(ctx)?.own({ describe: () => "serveTcp 127.0.0.1:80", finished });
 * ```
 */

import type { Context } from "./context.ts";
import { createKey, type Key } from "./key.ts";

/** Work that a program waits for before it exits: a server, a group of tasks. */
export interface Work {
  /**
   * Describes what is still running, for the line on stderr at a forced exit:
   * "serveHttp 127.0.0.1:8000 with 3 requests in flight". Undefined leaves the
   * work out of that line.
   */
  readonly describe: () => string | undefined;
  /** Settles when the work is over. A rejection is the program's failure. */
  readonly finished: Promise<unknown>;
}

/** Program that owns all work started under its context. */
export interface Owner {
  /** Waits for `work` before the program exits. */
  own(work: Work): void;
  /**
   * Ends the program's context with `error` as the cause, and makes it exit with
   * code 1 once everything has drained. Errors that only pass on the end of that
   * context change nothing.
   *
   * @param error The failure.
   * @param isHandled Asked after a turn of the event loop. If it returns true, the
   * failure is not the program's, because its owner has seen it by then.
   */
  fail(error: unknown, isHandled?: () => boolean): void;
}

/** Key under which a program's context holds its owner. */
export const ownerKey: Key<Owner> = createKey<Owner>("owner");

/** Returns the program that `ctx` belongs to; undefined without `main`. */
export function ownerOf(ctx: Context): Owner | undefined {
  return ctx.value(ownerKey);
}
