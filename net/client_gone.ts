/** Clients that have closed their connections. */

/**
 * Cause of the context of a request or a TCP connection whose client has closed the
 * connection. Its own `cause` is the error that showed it, if there was one.
 *
 * A request notices it within 100 ms, once it has been in flight for 25 ms: checking
 * costs as much as four quick requests.
 *
 * If a client leaves in the middle of a streamed response, the context is done as
 * well, but has this cause only with `--unstable-no-legacy-abort`. Without that flag
 * Deno does not tell such an end from a complete response.
 *
 * Three more limits of Deno: after a request body of about 500 bytes or more it does
 * not notice that the client leaves, so give such requests a `requestTimeout`. Over
 * HTTP/2 it notices only a client that leaves after the first check, which comes 25
 * to 50 ms after the request. And a client that closes only its sending side, as
 * `nc -N` does, counts as gone.
 *
 * @example Work that no client waits for
 * ```ts
 * import { background, cause, ClientGone, withCancel } from "@curfew/context";
 *
 * using ctx = withCancel(background()); // a handler's ctx, in a test
 * ctx.cancel(new ClientGone()); // as serveHttp and serveTcp do
 * if (cause(ctx) instanceof ClientGone) console.log("no client left");
 * ```
 */
export class ClientGone extends Error {
  /**
   * Creates the error. Servers do; you need it only in tests of handlers.
   *
   * @param options The error that showed it, as the cause.
   */
  constructor(options?: ErrorOptions) {
    super("the client has closed the connection", options);
    this.name = "ClientGone";
  }
}
