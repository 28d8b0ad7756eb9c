/** One request and its response. */

import { afterFunc } from "../../context/after_func.ts";
import type { CancelableContext, Context } from "../../context/context.ts";
import { DeadlineExceeded } from "../../context/errors.ts";
import { withTimeout } from "../../context/with_deadline.ts";
import { assertContext, Node } from "../../context/tree.ts";
import { BodyTooLarge, limitBody } from "./body_limit.ts";
import { failed, refused, timedOut, tooLarge } from "./replies.ts";
import { ClientGone } from "../client_gone.ts";
import { RemoteAddrContext, setRequestContext } from "./request_context.ts";
import type { HttpHandler } from "./http_server.ts";
import { upgradeOf } from "./web_socket.ts";

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

/** What the end of a WebSocket says of its server, where a request would get 500. */
const internalError = 1011;

/** How many looks, 25 ms apart, a socket may take to open once it is answered. */
const patience = 40;

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
  /** The socket that the request has become, once the handler has ended. */
  #socket: WebSocket | undefined;
  #socketOpened = false;
  #socketClosed = false;
  /** How often it was looked at before it was open. */
  #looks = 0;
  /** Whether the request was there already at an earlier look. */
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
    // Of an upgraded request it tells of the upgrade, and that may be long before
    // the handler has ended.
    if (this.#sent || (this.#isUpgraded && !this.#socketClosed)) return;
    this.#sent = true;
    if (this.#signal?.aborted === false) abortsWhenSent = false;
    this.#open[Symbol.dispose]();
    if (this.#handled) this.#options.over(this);
  }

  /** Called every now and then; from the second time on the client is watched. */
  watchClient(): void {
    if (this.#socket !== undefined) return this.#watchSocket();
    if (this.#signal !== undefined) return;
    if (!this.#old) {
      this.#old = true;
      // While Deno still knows it.
      this.#name = nameOf(this.#request);
      return;
    }
    if (this.#isUpgraded) return;
    this.#signal = this.#request.signal;
    if (this.#signal.aborted) this.#clientGone();
    else this.#signal.addEventListener("abort", () => this.#clientGone());
  }

  get #isUpgraded(): boolean {
    return upgradeOf(this.#request) !== undefined;
  }

  #clientGone(): void {
    // The socket tells of its own end, and the upgrade aborts the signal as well.
    if (this.#isUpgraded || (this.#answered && abortsWhenSent)) return;
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
    this.#answered = true;
    this.#handled = true;
    if (this.#sent) this.#options.over(this);
    return this.#outgoing(response);
  }

  /**
   * The response as Deno may have it. Of a request that was upgraded there is no
   * other: Deno closes the whole server for that, and so the socket is closed.
   */
  #outgoing(response: Response): Response {
    const upgrade = upgradeOf(this.#request);
    if (upgrade === undefined) return this.#options.outgoing(response);
    if (this.#socket === undefined) this.#followSocket(upgrade.socket);
    if (upgrade.response !== response) upgrade.socket.close(internalError);
    return upgrade.response;
  }

  #followSocket(socket: WebSocket): void {
    this.#socket = socket;
    const once = { once: true };
    socket.addEventListener("open", () => this.#socketOpened = true, once);
    socket.addEventListener("close", () => this.#socketGone(), once);
  }

  #socketGone(): void {
    this.#socketClosed = true;
    this.sent();
  }

  /** A socket whose client has left before it was open never tells of anything. */
  #watchSocket(): void {
    if (this.#socketOpened || ++this.#looks < patience) return;
    this.#open.cancel(new ClientGone());
    this.#socketGone();
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
      resolve(this.#outgoing(timedOut()));
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
