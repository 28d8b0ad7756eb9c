/** One request and its response. */

import { afterFunc } from "../../context/after_func.ts";
import { assertContext } from "../../context/assert_context.ts";
import { cause } from "../../context/cause.ts";
import type { CancelableContext, Context } from "../../context/context.ts";
import { DeadlineExceeded } from "../../context/errors.ts";
import { isCanceled } from "../../context/is_canceled.ts";
import { observer } from "../../context/tree_observer.ts";
import { withCancel } from "../../context/with_cancel.ts";
import { withTimeout } from "../../context/with_deadline.ts";
import { assertAbove0 } from "../arguments.ts";
import { ClientGone } from "../client_gone.ts";
import { cutStream } from "./cut_stream.ts";
import type { DeadlineHeaders } from "./deadline_headers.ts";
import type { HttpHandler } from "./http_server.ts";
import { hasLegacyAbort, learnAbortMode } from "./legacy_abort.ts";
import type { Linked } from "./linked_list.ts";
import {
  badRequest,
  bodyTimedOut,
  clientGone,
  failed,
  refused,
  timedOut,
  tooLarge,
} from "./replies.ts";
import {
  BodyTooLarge,
  isBrokenOff,
  isMalformed,
  RequestBody,
} from "./request_body.ts";
import { setExchange } from "./request_exchange.ts";
import { closeCode, UpgradedSocket } from "./upgraded_socket.ts";

/** The parts of a server that its exchanges use. */
export interface ExchangeServer {
  readonly handler: HttpHandler;
  /** Time in ms that a request may take. */
  readonly requestTimeout: number | ((request: Request) => number);
  readonly deadlineHeaders: DeadlineHeaders | undefined;
  readonly maxBodyBytes: number;
  /** Longest time in ms without a new piece of the body. */
  readonly bodyTimeout: number;
  readonly onRequest: ((ctx: Context, request: Request) => Context) | undefined;
  /** Derives the context of a request. */
  contextOf(info: Deno.ServeHandlerInfo<Deno.Addr>): Context;
  report(error: unknown, request: Request): void;
  /** Adapts a response to the state of the server. */
  outgoing(response: Response): Response;
  /** Returns the cause for a body that has broken off: the client or the server. */
  brokenOff(error: unknown): Error;
  /**
   * Called when a handler has ended without reading the whole body. Deno keeps the
   * connection until its client has sent the rest.
   */
  leftUpload(): void;
  /** Called when the handler has ended and the response has been sent. */
  over(exchange: Exchange): void;
}

/**
 * Phase of an exchange. Two things have to happen, in either order: the handler
 * ends, and a response is sent.
 *
 * - `handling`: the handler is running, and there is no response.
 * - `preempted`: a response in place of the handler's is being sent; the handler is
 *   still running.
 * - `overrun`: that response has been sent, and the handler is still running.
 * - `sending`: the handler has ended, and the response is being sent, or the
 *   WebSocket is open.
 * - `over`: the handler has ended, and the response has been sent.
 */
type Phase = "handling" | "preempted" | "overrun" | "sending" | "over";

/** One request, from its arrival until its response has been sent. */
export class Exchange implements Linked<Exchange> {
  /** Kept by the list of the requests in flight. */
  previous: Exchange | undefined;
  next: Exchange | undefined;
  /** The handler's context. Set before the handler is called. */
  context: Context;
  readonly #server: ExchangeServer;
  readonly #request: Request;
  /** Done when the response has been sent or the client has gone. */
  readonly #open: CancelableContext;
  /** `#open`, or a child of it with the deadline of `requestTimeout`. */
  #ctx: CancelableContext;
  #phase: Phase = "handling";
  /** Hands the response to Deno. Set when the handler has returned a promise. */
  #respond: ((response: Response) => void) | undefined;
  /** The response that is being sent. */
  #response: Response | undefined;
  /** Set if Deno has called the response sent before it was given one. */
  #isSent = false;
  /** Undefined for GET and HEAD, which have no body. */
  #body: RequestBody | undefined;
  /** Set by `upgradeWebSocket`. */
  #upgrade: Deno.WebSocketUpgrade | undefined;
  /** The upgraded connection; set when the upgrade is answered. */
  #socket: UpgradedSocket | undefined;
  /** `seen` after the first look; the signal once the client is watched. */
  #client: "new" | "seen" | AbortSignal = "new";
  #name: string | undefined;

  constructor(
    request: Request,
    info: Deno.ServeHandlerInfo<Deno.Addr>,
    server: ExchangeServer,
  ) {
    this.#server = server;
    this.#request = request;
    this.#open = withCancel(server.contextOf(info));
    this.#ctx = this.context = this.#open;
    if (observer !== undefined) {
      // Now, since Deno forgets the request when it has been answered.
      const { method, url } = request;
      observer.described(this.#open, "request", () => nameOf({ method, url }));
    }
  }

  /** Method and path, for reports. */
  get name(): string {
    return this.#name ?? nameOf(this.#request);
  }

  /** Calls the handler and returns its response, or one in its place. */
  answer(): Response | Promise<Response> {
    let result: Response | Promise<Response>;
    let isPending: boolean;
    try {
      result = this.#handle();
      isPending = typeof (result as Promise<Response>)?.then === "function";
    } catch (error) {
      return this.#settle(this.#failure(error));
    }
    if (!isPending) return this.#settle(this.#checked(result as Response));
    return new Promise((resolve) => {
      this.#respond = resolve;
      const stop = this.#ctx === this.#open ? undefined : this.#keepDeadline();
      // A thenable may do without what a promise guarantees.
      Promise.resolve(result).then(
        (response) => this.#checked(response),
        (error) => this.#failure(error),
      ).then((response) => {
        stop?.();
        this.#settle(response);
      });
    });
  }

  /** Called when Deno has sent the response, or never will. */
  sent(): void {
    // For an upgrade Deno says so when it takes the connection over, and then the
    // socket tells when that has ended.
    if (this.#upgrade === undefined) this.#sent();
  }

  /**
   * Called every 25 ms. From the second time on the client is watched: reading
   * `request.signal` costs as much as a whole request, so the quick ones do
   * without.
   */
  look(): void {
    if (this.#socket !== undefined) return this.#socket.look();
    if (this.#client === "new") {
      this.#client = "seen";
      // As long as Deno knows it.
      this.#name = nameOf(this.#request);
    } else if (this.#client === "seen" && this.#upgrade === undefined) {
      const signal = this.#client = this.#request.signal;
      if (signal.aborted) this.#aborted();
      else signal.addEventListener("abort", () => this.#aborted());
    }
  }

  /** Called by `upgradeWebSocket`. */
  upgraded(upgrade: Deno.WebSocketUpgrade): void {
    this.#upgrade = upgrade;
  }

  /**
   * Resolves when nothing of the request's body is left to read; undefined if that
   * is so already.
   */
  bodyRead(): Promise<void> | undefined {
    const body = this.#body;
    if (body === undefined || this.#phase === "overrun") return undefined;
    if (!body.isRead && !hasBody(this.#request)) return undefined;
    return body.whenOver();
  }

  /** Closes the WebSocket, if this is one, with 1001. */
  closeSocket(): void {
    this.#socket?.close(closeCode.goingAway);
  }

  /**
   * Reports whether `error`, of a stream in a response, only passes on the end of
   * this request's ctx, or that its client has broken the bounds of a body.
   */
  explains(error: unknown): boolean {
    return isCanceled(this.#ctx, error) || error instanceof BodyTooLarge ||
      this.#body?.hasIdled(error) === true;
  }

  /** Called when the grace period is over: answers 503 if there is no response. */
  refuse(): void {
    this.closeSocket();
    this.#preempt(refused(), closeCode.goingAway);
  }

  /** Called a little later: cuts the response if it is a stream. */
  cut(): void {
    // A response in place of the handler's is no stream.
    if (this.#phase !== "sending") return;
    const body = this.#response?.body;
    if (body?.locked) cutStream(body, this.#ctx.err);
  }

  #handle(): Response | Promise<Response> {
    const { handler, onRequest } = this.#server;
    const request = this.#request;
    if (!this.#limitTime()) return timedOut();
    const { method } = request;
    if (method !== "GET" && method !== "HEAD") this.#bindBody();
    setExchange(request, this);
    let ctx: Context = this.#ctx;
    if (onRequest !== undefined) {
      ctx = onRequest(ctx, request);
      assertContext("serveHttp: onRequest", ctx);
      this.context = ctx;
    }
    return handler(ctx, request);
  }

  /** Sets the deadline; returns false if the client's has passed already. */
  #limitTime(): boolean {
    const { requestTimeout, deadlineHeaders } = this.#server;
    let ms = requestTimeout;
    if (typeof ms !== "number") {
      ms = ms(this.#request);
      assertAbove0("serveHttp", { requestTimeout: ms });
    }
    const cause = deadlineHeaders?.shortest(this.#request);
    if (cause !== undefined && cause.timeout <= ms) {
      ms = cause.timeout;
      this.#ctx = this.context = withTimeout(this.#open, ms, { cause });
    } else if (ms !== Infinity) {
      this.#ctx = this.context = withTimeout(this.#open, ms);
    }
    return ms > 0;
  }

  #bindBody(): void {
    this.#body = RequestBody.bound(this.#request, {
      ctx: this.#ctx,
      maxBytes: this.#server.maxBodyBytes,
      idleTimeout: this.#server.bodyTimeout,
      brokenOff: (error) => this.#brokenOff(error),
    });
  }

  #brokenOff(error: unknown): unknown {
    this.#open.cancel(this.#server.brokenOff(error));
    return this.#ctx.err;
  }

  /** Answers 504 when the deadline passes. Returns the function that stops it. */
  #keepDeadline(): () => void {
    return afterFunc(this.#ctx, () => {
      if (!(this.#ctx.err instanceof DeadlineExceeded)) return;
      this.#preempt(timedOut(), closeCode.internalError);
    });
  }

  /** Answers in place of a handler that is still running. */
  #preempt(response: Response, code: number): void {
    if (this.#phase !== "handling") return;
    this.#phase = "preempted";
    // Deno forgets the request once it is answered; its handler may go on.
    this.#name ??= nameOf(this.#request);
    this.#respond?.(this.#outgoing(response, code));
    if (this.#isSent) this.#sent();
  }

  /** Called when the handler has ended. Returns what goes out. */
  #settle(response: Response): Response {
    this.#releaseBody(response);
    if (this.#phase !== "handling") {
      discard(response);
      if (this.#phase === "preempted") this.#phase = "sending";
      else this.#over();
      return response;
    }
    this.#phase = "sending";
    const outgoing = this.#outgoing(response, closeCode.internalError);
    this.#respond?.(outgoing);
    if (this.#isSent) this.#sent();
    return outgoing;
  }

  /** Called when the handler has ended: only `response` may still read the body. */
  #releaseBody(response: Response): void {
    const body = this.#body;
    if (body?.isUsedBy(response)) return;
    body?.end();
    if (!body?.isWhole && hasBody(this.#request)) this.#server.leftUpload();
  }

  #sent(): void {
    switch (this.#phase) {
      case "handling":
        // Deno.upgradeWebSocket() has taken the connection over.
        this.#isSent = true;
        return;
      case "sending":
        return this.#over();
      case "preempted":
        this.#phase = "overrun";
        return this.#close();
    }
  }

  #over(): void {
    this.#phase = "over";
    this.#close();
    this.#server.over(this);
  }

  /** Ends the contexts: the response has been sent. */
  #close(): void {
    if (typeof this.#client === "object") learnAbortMode(this.#client);
    this.#response = undefined;
    this.#open[Symbol.dispose]();
  }

  /**
   * The response for Deno. If the request was upgraded, it takes no other than the
   * upgrade: for any other one it closes the whole server. So the socket is closed
   * instead.
   */
  #outgoing(response: Response, code: number): Response {
    const upgrade = this.#upgrade;
    if (upgrade === undefined) {
      return this.#response = this.#server.outgoing(response);
    }
    this.#socket = new UpgradedSocket(upgrade.socket, {
      closed: () => this.#sent(),
      neverOpened: () => this.#open.cancel(new ClientGone()),
    });
    if (upgrade.response !== response) this.#socket.close(code);
    return upgrade.response;
  }

  /** Called when `request.signal` is aborted. */
  #aborted(): void {
    // An upgrade aborts it as well.
    if (this.#upgrade !== undefined) return;
    if (this.#phase !== "handling" && hasLegacyAbort()) return;
    // One by Deno.upgradeWebSocket() itself shows in the microtask before this.
    queueMicrotask(() => {
      if (!this.#isSent) this.#open.cancel(new ClientGone());
    });
  }

  #checked(response: Response): Response {
    if (response instanceof Response) return response;
    return this.#failure(
      new TypeError(
        `serveHttp: the handler must return a Response, got ${typeof response}`,
      ),
    );
  }

  /** The response to a handler that has failed. */
  #failure(error: unknown): Response {
    // A read of a copy of the request, say.
    if (isBrokenOff(error) && this.#isUnread) error = this.#brokenOff(error);
    const ctx = this.#ctx;
    if (isCanceled(ctx, error)) {
      if (cause(ctx) instanceof ClientGone) return clientGone();
      return ctx.err instanceof DeadlineExceeded ? timedOut() : refused();
    }
    if (error instanceof BodyTooLarge) return tooLarge();
    if (this.#body?.hasIdled(error)) return bodyTimedOut();
    if (isMalformed(error) || hasBadHost(this.#request)) return badRequest();
    this.#server.report(error, this.#request);
    return error instanceof DOMException && error.name === "TimeoutError"
      ? timedOut()
      : failed();
  }

  get #isUnread(): boolean {
    return this.#body !== undefined && hasBody(this.#request);
  }
}

/**
 * Reports whether the header announces a body. HTTP/2 need not announce one, but
 * there `shutdown()` breaks none either. In a GET or HEAD Deno shows none.
 */
function hasBody(request: Request): boolean {
  try {
    const { method } = request;
    if (method === "GET" || method === "HEAD") return false;
    const { headers } = request;
    const length = headers.get("content-length");
    return length === null
      ? headers.has("transfer-encoding")
      : Number(length) !== 0;
  } catch {
    // Deno has forgotten the request: its response has been sent.
    return false;
  }
}

/** Reports whether the Host header makes no URL, which Deno lets through. */
function hasBadHost(request: Request): boolean {
  try {
    return !URL.canParse(request.url);
  } catch {
    // Deno has forgotten the request: its client has gone.
    return false;
  }
}

/** Tells the source of a response that nobody will read it. */
async function discard(response: Response): Promise<void> {
  try {
    await response.body?.cancel();
  } catch {
    // It is being read, or the source fails to cancel.
  }
}

function nameOf(request: Pick<Request, "method" | "url">): string {
  try {
    return `${request.method} ${new URL(request.url).pathname}`;
  } catch {
    // Deno has forgotten the request: its client has gone.
    return "a request whose client has gone";
  }
}
