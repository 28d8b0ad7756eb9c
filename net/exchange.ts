/** One request and its response. */

import { afterFunc } from "../context/after_func.ts";
import type { CancelableContext, Context } from "../context/context.ts";
import { DeadlineExceeded } from "../context/errors.ts";
import { withCancel } from "../context/with_cancel.ts";
import { withTimeout } from "../context/with_deadline.ts";
import { withValue } from "../context/with_value.ts";
import { BodyTooLarge, limitBody } from "./body_limit.ts";
import { failed, refused, timedOut, tooLarge } from "./replies.ts";
import {
  ClientGone,
  remoteAddrKey,
  setRequestContext,
} from "./request_context.ts";
import type { HttpHandler } from "./serve_http.ts";

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
  /** The response has been sent and the handler has ended. */
  over(exchange: Exchange): void;
}

/** One request, from its arrival until its response has been sent. */
export class Exchange {
  readonly #request: Request;
  readonly #options: ExchangeOptions;
  readonly #open: CancelableContext;
  /** The same where requests have no time limit. */
  readonly #ctx: CancelableContext;
  #name: string | undefined;
  #answered = false;
  #handled = false;
  #sent = false;
  #old = false;
  #watched = false;

  constructor(
    request: Request,
    remoteAddr: Deno.Addr,
    options: ExchangeOptions,
  ) {
    this.#request = request;
    this.#options = options;
    const { base, requestTimeout } = options;
    this.#open = withCancel(withValue(base, remoteAddrKey, remoteAddr));
    this.#ctx = requestTimeout === Infinity
      ? this.#open
      : withTimeout(this.#open, requestTimeout);
  }

  /** For the report: which request it was. */
  get name(): string {
    try {
      const { method, url } = this.#request;
      return this.#name ?? `${method} ${new URL(url).pathname}`;
    } catch {
      // Deno forgets a request whose client has gone.
      return "a request whose client has gone";
    }
  }

  /** The handler's response, or what stands in for one. */
  answer(): Response | Promise<Response> {
    let result: Response | Promise<Response>;
    try {
      result = this.#handle();
    } catch (error) {
      return this.#ended(this.#failure(error));
    }
    if (typeof (result as Promise<Response>)?.then !== "function") {
      return this.#ended(this.#checked(result as Response));
    }
    const answer = (result as Promise<Response>).then(
      (response) => this.#ended(this.#checked(response)),
      (error) => this.#ended(this.#failure(error)),
    );
    return this.#ctx === this.#open ? answer : this.#inTime(answer);
  }

  /** Called when the response has been sent, or never will be. */
  readonly sent = (): void => {
    this.#sent = true;
    this.#open.cancel();
    if (this.#handled) this.#options.over(this);
  };

  /** Called every now and then; from the second time on the client is watched. */
  watchClient(): void {
    // While Deno still knows it.
    this.#name ??= this.name;
    if (this.#answered || this.#watched) return;
    this.#watched = this.#old;
    this.#old = true;
    if (!this.#watched) return;
    const { signal } = this.#request;
    if (signal.aborted) this.#clientGone();
    else signal.addEventListener("abort", this.#clientGone, { once: true });
  }

  // Without --unstable-no-legacy-abort the signal is aborted after each response
  // too (#27005), so it says something only about those that are not answered.
  readonly #clientGone = (): void => {
    if (!this.#answered) this.#open.cancel(new ClientGone());
  };

  #handle(): Response | Promise<Response> {
    const { handler, maxBodyBytes, onRequest } = this.#options;
    const request = maxBodyBytes === Infinity
      ? this.#request
      : limitBody(this.#request, maxBodyBytes);
    const ctx = onRequest === undefined
      ? this.#ctx
      : onRequest(this.#ctx, request);
    setRequestContext(request, ctx);
    return handler(ctx, request);
  }

  #ended(response: Response): Response {
    this.#answered = true;
    this.#handled = true;
    if (this.#sent) this.#options.over(this);
    return response;
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
    const { promise, resolve } = Promise.withResolvers<Response>();
    const stop = afterFunc(this.#ctx, () => {
      if (!(this.#ctx.err instanceof DeadlineExceeded)) return;
      this.#answered = true;
      resolve(timedOut());
    });
    answer.then((response) => {
      stop();
      resolve(response);
    });
    return promise;
  }
}
