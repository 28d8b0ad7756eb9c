/** One request and its response. */

import { afterFunc } from "../context/after_func.ts";
import type { CancelableContext, Context } from "../context/context.ts";
import { DeadlineExceeded } from "../context/errors.ts";
import { withTimeout } from "../context/with_deadline.ts";
import { assertContext, Node } from "../context/tree.ts";
import { BodyTooLarge, limitBody } from "./body_limit.ts";
import { failed, refused, timedOut, tooLarge } from "./replies.ts";
import { ClientGone } from "./client_gone.ts";
import { RemoteAddrContext, setRequestContext } from "./request_context.ts";
import type { HttpHandler } from "./http_server.ts";
import { onSocketClosed } from "./web_socket.ts";

/** What all exchanges of a server have in common. */
export interface ExchangeOptions {
  readonly handler: HttpHandler;
  /** In ms. */
  readonly requestTimeout: number;
  readonly maxBodyBytes: number;
  readonly onRequest: ((ctx: Context, request: Request) => Context) | undefined;
  /** What their contexts derive from. */
  readonly base: Context;
  report(error: unknown, request: Request): void;
  /** The response as it goes out, given where the server is in its life. */
  outgoing(response: Response): Response;
  /** The response has been sent and the handler has ended. */
  over(exchange: Exchange): void;
}

/**
 * Whether the signal of a request is aborted when its response has been sent, as
 * it is without --unstable-no-legacy-abort (#27005). Then it tells of a client
 * that has gone only while there is no answer. Nothing says which it is; the first
 * response that is sent without an abort does.
 */
let abortsWhenSent = true;

/** One request, from its arrival until its response has been sent. */
export class Exchange {
  readonly #request: Request;
  readonly #options: ExchangeOptions;
  /** Done when the response has been sent, or the client has gone. */
  readonly #open: CancelableContext;
  /** The handler's: under the other with `requestTimeout`, and without the same. */
  readonly #ctx: CancelableContext;
  /** Its neighbours in the list it is in; kept by that. */
  previous: Exchange | undefined;
  next: Exchange | undefined;
  #name: string | undefined;
  /** Whether there is a response, the handler's or the 504 in its place. */
  #answered = false;
  /** Whether the handler has ended; after a 504 that can be later. */
  #handled = false;
  /** Whether the response has been sent, or never will be. */
  #sent = false;
  /** Whether it goes on as a WebSocket, until that is closed. */
  #socketOpen = false;
  /** Whether it was there already at an earlier look. */
  #old = false;
  /** The request's own, once its client is watched. */
  #signal: AbortSignal | undefined;

  constructor(
    request: Request,
    info: Deno.ServeHandlerInfo<Deno.Addr>,
    options: ExchangeOptions,
  ) {
    this.#request = request;
    this.#options = options;
    const { base, requestTimeout } = options;
    this.#open = new Node(new RemoteAddrContext(base, info));
    this.#ctx = requestTimeout === Infinity
      ? this.#open
      : withTimeout(this.#open, requestTimeout);
  }

  /** For the report: which request it was. */
  get name(): string {
    return this.#name ?? nameOf(this.#request);
  }

  /** The handler's response, or what stands in for one. */
  answer(): Response | Promise<Response> {
    let result: Response | Promise<Response>;
    let pending: boolean;
    try {
      result = this.#handle();
      pending = typeof (result as Promise<Response>)?.then === "function";
    } catch (error) {
      return this.#ended(this.#failure(error));
    }
    if (!pending) return this.#ended(this.#checked(result as Response));
    // Others than the platform's own promises may do without what those do.
    const answer = Promise.resolve(result).then(
      (response) => this.#ended(this.#checked(response)),
      (error) => this.#ended(this.#failure(error)),
    );
    return this.#ctx === this.#open ? answer : this.#inTime(answer);
  }

  /** Called when the response has been sent, or never will be. */
  sent(): void {
    // Of an upgraded request it tells that the socket is open.
    if (this.#socketOpen || this.#sent) return;
    this.#sent = true;
    if (this.#signal?.aborted === false) abortsWhenSent = false;
    this.#open[Symbol.dispose]();
    if (this.#handled) this.#options.over(this);
  }

  /** Called every now and then; from the second time on the client is watched. */
  watchClient(): void {
    if (this.#signal !== undefined) return;
    if (!this.#old) {
      this.#old = true;
      // While Deno still knows it.
      this.#name = nameOf(this.#request);
      return;
    }
    // The socket tells of its own end.
    if (this.#socketOpen) return;
    this.#signal = this.#request.signal;
    if (this.#signal.aborted) this.#clientGone();
    else this.#signal.addEventListener("abort", () => this.#clientGone());
  }

  #clientGone(): void {
    if (this.#answered && abortsWhenSent) return;
    this.#open.cancel(new ClientGone());
  }

  #handle(): Response | Promise<Response> {
    const { handler, maxBodyBytes, onRequest } = this.#options;
    const request = maxBodyBytes === Infinity
      ? this.#request
      : limitBody(this.#request, maxBodyBytes);
    let ctx: Context = this.#ctx;
    if (onRequest !== undefined) {
      ctx = onRequest(ctx, request);
      assertContext("serveHttp: onRequest", ctx);
    }
    setRequestContext(request, ctx);
    return handler(ctx, request);
  }

  #ended(response: Response): Response {
    if (response.status === 101 && !this.#answered) {
      this.#socketOpen = onSocketClosed(response, () => {
        this.#socketOpen = false;
        this.sent();
      });
    }
    this.#answered = true;
    this.#handled = true;
    if (this.#sent) this.#options.over(this);
    return this.#options.outgoing(response);
  }

  #checked(response: Response): Response {
    if (response instanceof Response) return response;
    return this.#failure(
      new TypeError(
        `serveHttp: the handler must return a Response, got ${typeof response}`,
      ),
    );
  }

  #failure(error: unknown): Response {
    const { err } = this.#ctx;
    // Nobody is left to answer, or the time is over: no news to anybody.
    if (err !== undefined && error === err) {
      return err instanceof DeadlineExceeded ? timedOut() : refused();
    }
    if (error instanceof BodyTooLarge) return tooLarge();
    this.#options.report(error, this.#request);
    return failed();
  }

  /** The answer, or 504 once the context's deadline has passed. */
  #inTime(answer: Promise<Response>): Promise<Response> {
    const { promise, resolve, reject } = Promise.withResolvers<Response>();
    let late = false;
    const stop = afterFunc(this.#ctx, () => {
      if (!(this.#ctx.err instanceof DeadlineExceeded)) return;
      late = true;
      this.#answered = true;
      resolve(this.#options.outgoing(timedOut()));
    });
    answer.then((response) => {
      if (late) discard(response);
      else resolve(response);
    }, reject).finally(stop);
    return promise;
  }
}

/** Exchanges in order of arrival; an entry of a Set would cost each of them more. */
export class ExchangeList {
  size = 0;
  #first: Exchange | undefined;
  #last: Exchange | undefined;

  add(exchange: Exchange): void {
    const last = this.#last;
    exchange.previous = last;
    if (last === undefined) this.#first = exchange;
    else last.next = exchange;
    this.#last = exchange;
    this.size++;
  }

  delete(exchange: Exchange): void {
    const { previous, next } = exchange;
    if (previous === undefined) this.#first = next;
    else previous.next = next;
    if (next === undefined) this.#last = previous;
    else next.previous = previous;
    exchange.previous = exchange.next = undefined;
    this.size--;
  }

  *[Symbol.iterator](): Generator<Exchange> {
    for (let at = this.#first; at !== undefined; at = at.next) yield at;
  }
}

/** Tells whatever makes the body of a response that nobody will read it. */
async function discard(response: Response): Promise<void> {
  try {
    await response.body?.cancel();
  } catch {
    // Somebody reads it already, or the source does not want to know.
  }
}

function nameOf(request: Request): string {
  try {
    return `${request.method} ${new URL(request.url).pathname}`;
  } catch {
    // Deno forgets a request whose client has gone.
    return "a request whose client has gone";
  }
}
