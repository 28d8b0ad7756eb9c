/** Deadlines that clients set. */

/**
 * Cause of the context of a request whose deadline came from its client, in a header
 * that the option `deadlineHeaders` of `serveHttp` names. If the deadline came from
 * `requestTimeout`, the cause is the `DeadlineExceeded` itself.
 *
 * @example Telling a hurried client from a slow server
 * ```ts
 * import { cause, ClientDeadline, type Context } from "@curfew/context";
 *
 * function blame(ctx: Context): string {
 *   return cause(ctx) instanceof ClientDeadline ? "the client" : "the server";
 * }
 * ```
 */
export class ClientDeadline extends Error {
  /** Name of the header, in lower case. */
  readonly header: string;
  /** Time in ms that the client gave the request when it arrived. */
  readonly timeout: number;

  /**
   * Creates the error. `serveHttp` does; you need it only in tests of handlers.
   *
   * @param header Name of the header.
   * @param timeout Time in ms.
   */
  constructor(header: string, timeout: number) {
    super(`the client waits no longer: ${header} was ${timeout} ms`);
    this.name = "ClientDeadline";
    this.header = header;
    this.timeout = timeout;
  }
}
