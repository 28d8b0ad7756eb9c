/** The end of a client. */

/**
 * The cause of the context of a request, or of a TCP connection, when its client
 * has closed the connection; what that broke is the `cause` of this.
 *
 * Of a request it is noticed within 100 ms, and only once that has been in flight
 * for 25: to look costs as much as four quick requests.
 *
 * Where a client leaves in the middle of a streamed response, the context is done
 * all the same, but this is its cause only with `--unstable-no-legacy-abort`;
 * without it Deno does not tell such an end from a good one.
 *
 * @example Work that its client no longer wants
 * ```ts
 * import { background, cause, ClientGone, withCancel } from "@curfew/context";
 *
 * using ctx = withCancel(background()); // a handler's ctx, in a test
 * ctx.cancel(new ClientGone()); // as serveHttp and serveTcp do
 * if (cause(ctx) instanceof ClientGone) console.log("nobody waits for this");
 * ```
 */
export class ClientGone extends Error {
  /**
   * Makes one; for tests of handlers.
   *
   * @param options The error that has told of it, where there was one.
   */
  constructor(options?: ErrorOptions) {
    super("the client has closed the connection", options);
    this.name = "ClientGone";
  }
}
