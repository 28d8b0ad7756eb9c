/** Bodies of requests, whose reads end with the request's context. */

import type { Context } from "../../context/context.ts";
import { orDone } from "../../context/or_done.ts";
import { withTimeout } from "../../context/with_deadline.ts";
import { IdleTimeout } from "../idle_timer.ts";
import { exchangeOf, setExchange } from "./request_exchange.ts";

/** Error of a read of a body that is too long. */
export class BodyTooLarge extends RangeError {
  /** @param limit In bytes. */
  constructor(limit: number) {
    super(`the body is longer than ${limit} bytes`);
    this.name = "BodyTooLarge";
  }
}

/** Bounds for the reads of a body. */
export interface BodyBounds {
  /** Context of the request. */
  readonly ctx: Context;
  /** Longest body in bytes. */
  readonly maxBytes: number;
  /** Longest time in ms without a new chunk. */
  readonly idleTimeout: number;
  /**
   * Called when the connection has broken off in the middle of the body. Ends `ctx`
   * and returns the error for the reader.
   */
  brokenOff(error: unknown): unknown;
}

/**
 * Reports whether `error` is Deno's for a body whose connection has broken off:
 * BadResource in HTTP/1, Http in HTTP/2.
 */
export function isBrokenOff(error: unknown): boolean {
  return error instanceof Deno.errors.BadResource ||
    error instanceof Deno.errors.Http;
}

/** Reports whether `error` is Deno's for a chunked body that is malformed. */
export function isMalformed(error: unknown): boolean {
  return error instanceof Error &&
    error.message.startsWith("invalid HTTP/1 request");
}

type Bytes = ReadableStream<Uint8Array<ArrayBuffer>>;
type BytesReader = ReadableStreamDefaultReader<Uint8Array<ArrayBuffer>>;

const bodyKey = Symbol("request body");

/**
 * The body of one request. `bound()` makes every read of it, `clone()` included,
 * reject with `ctx.err` when the request's ctx is done, and keeps it in its bounds.
 *
 * Whole reads such as `text()` are left to Deno, which is faster for a body that
 * has arrived together with its header. Only if the bytes have to be counted, or
 * the time between them, such a read goes through the stream of {@linkcode stream}.
 */
export class RequestBody {
  readonly #bounds: BodyBounds;
  readonly #counts: boolean;
  /** The body that this one was cloned from. */
  readonly #original: RequestBody | undefined;
  /** Set when there is a clone: both then get the same chunks from Deno. */
  #sharesChunks: boolean;
  /** Set when the body is first asked for as a stream; null if there is none. */
  #stream: Bytes | null | undefined;
  /**
   * - `untouched`: nothing has read it.
   * - `reading`: a read has begun.
   * - `over`: it has been read to its end, or will not be read any further.
   */
  #phase: "untouched" | "reading" | "over" = "untouched";
  /** Set when it has been read to its end. */
  #isWhole = false;
  #whenOver: PromiseWithResolvers<void> | undefined;
  /** Set when nothing has arrived for `idleTimeout`. */
  #idle: IdleTimeout | undefined;

  private constructor(
    request: Request,
    bounds: BodyBounds,
    counts: boolean,
    original?: RequestBody,
  ) {
    this.#bounds = bounds;
    this.#counts = counts;
    this.#original = original;
    this.#sharesChunks = original !== undefined;
    (request as BoundRequest)[bodyKey] = this;
    // A subclass costs each request 0.3 us; wrapping the body in a new Request
    // costs ten times that.
    Object.setPrototypeOf(request, BoundRequest.prototype);
  }

  /**
   * Bounds the body of `request`.
   *
   * @throws {BodyTooLarge} If its header says that the body is too long.
   */
  static bound(request: Request, bounds: BodyBounds): RequestBody {
    const { maxBytes, idleTimeout } = bounds;
    let counts = idleTimeout !== Infinity;
    if (maxBytes !== Infinity) {
      const length = request.headers.get("content-length");
      // Deno reads no more than that.
      if (Number(length) > maxBytes) throw new BodyTooLarge(maxBytes);
      if (length === null) counts = true;
    }
    return new RequestBody(request, bounds, counts);
  }

  /** Bounds a clone of the request as well. */
  bindClone(clone: Request): void {
    this.#sharesChunks = true;
    new RequestBody(clone, this.#bounds, this.#counts, this);
  }

  /** True while something is reading the body. */
  get isRead(): boolean {
    return this.#phase === "reading";
  }

  /** True if the body has been read to its end. */
  get isWhole(): boolean {
    return this.#isWhole;
  }

  /** True if the body is being read, or will be as the source of `response`. */
  isUsedBy(response: Response): boolean {
    if (this.#phase !== "untouched") return this.isRead;
    const stream = this.#stream;
    if (stream === undefined || stream === null) return false;
    return stream.locked || stream === response.body;
  }

  /** Resolves when the body has been read, or will not be read any further. */
  whenOver(): Promise<void> {
    if (this.#phase === "over") return Promise.resolve();
    this.#whenOver ??= Promise.withResolvers();
    return this.#whenOver.promise;
  }

  /** Reports whether `error` says that nothing has arrived for `idleTimeout`. */
  hasIdled(error: unknown): boolean {
    return this.#idle !== undefined && error === this.#idle;
  }

  /** A clone reads what its original was sent. */
  #begin(): void {
    this.#phase = "reading";
    if (this.#original !== undefined) this.#original.#begin();
  }

  /** Called when the body has been read to its end. */
  #complete(): void {
    this.#isWhole = true;
    if (this.#original !== undefined) this.#original.#complete();
  }

  /** Called when the body will not be read any further. */
  end(): void {
    if (this.#phase === "over") return;
    this.#phase = "over";
    this.#whenOver?.resolve();
    this.#original?.end();
  }

  /**
   * Reads the whole body.
   *
   * @param whole Deno's own way.
   * @param streamed Reads the same from a stream.
   */
  async read<T>(
    request: Request,
    whole: () => Promise<T>,
    streamed: (body: Response) => Promise<T>,
  ): Promise<T> {
    const { ctx } = this.#bounds;
    if (ctx.err !== undefined) throw ctx.err;
    if (this.#counts || this.#stream !== undefined) {
      const { body } = request;
      if (body !== null) {
        const type = request.headers.get("content-type");
        const headers = new Headers(
          type === null ? {} : { "content-type": type },
        );
        return await streamed(new Response(body, { headers }));
      }
    }
    this.#begin();
    try {
      const result = await orDone(ctx, whole());
      this.#complete();
      return result;
    } catch (error) {
      throw this.#failure(error);
    } finally {
      this.end();
    }
  }

  /** The body as a stream; null if there is none. */
  stream(source: () => Bytes | null): Bytes | null {
    if (this.#stream === undefined) {
      // Once the response has been sent, Deno throws.
      const isNone = this.#bounds.ctx.err === undefined && source() === null;
      this.#stream = isNone ? null : this.#bounded(source);
    }
    return this.#stream;
  }

  /** @param source Asked again at the first read: clone() may have replaced it. */
  #bounded(source: () => Bytes | null): Bytes {
    let reader: BytesReader | undefined;
    let received = 0;
    const { ctx, maxBytes } = this.#bounds;
    return new ReadableStream({
      type: "bytes",
      pull: async (controller) => {
        if (ctx.err !== undefined) throw ctx.err;
        this.#begin();
        reader ??= source()!.getReader();
        try {
          let value: Uint8Array<ArrayBuffer> | undefined;
          // A byte stream takes no empty chunks, which Deno has for empty bodies.
          do ({ value } = await this.#next(reader)); while (
            value?.length === 0
          );
          if (value === undefined) {
            controller.close();
            controller.byobRequest?.respond(0);
            this.#complete();
            this.end();
            return;
          }
          received += value.length;
          if (received > maxBytes) throw new BodyTooLarge(maxBytes);
          // A byte stream takes the memory of its chunks away.
          controller.enqueue(this.#sharesChunks ? value.slice() : value);
        } catch (error) {
          this.end();
          const failure = this.#failure(error);
          reader.cancel(failure).catch(() => {});
          throw failure;
        }
      },
      cancel: async (reason) => {
        this.end();
        await (reader ?? source()!).cancel(reason);
      },
    }, { highWaterMark: 0 });
  }

  /** The next chunk; rejects when ctx is done, or none has come for too long. */
  async #next(
    reader: BytesReader,
  ): Promise<ReadableStreamReadResult<Uint8Array<ArrayBuffer>>> {
    const { ctx, idleTimeout } = this.#bounds;
    if (idleTimeout === Infinity) return await orDone(ctx, reader.read());
    // Not `using`, which Node 20 cannot parse: the package would not load there.
    const time = withTimeout(ctx, idleTimeout);
    try {
      return await orDone(time, reader.read());
    } catch (error) {
      const isIdle = error === time.err && ctx.err === undefined;
      throw isIdle ? this.#idled(new IdleTimeout(idleTimeout)) : error;
    } finally {
      time.cancel();
    }
  }

  #idled(idle: IdleTimeout): IdleTimeout {
    if (this.#original !== undefined) this.#original.#idled(idle);
    return this.#idle = idle;
  }

  #failure(error: unknown): unknown {
    return isBrokenOff(error) ? this.#bounds.brokenOff(error) : error;
  }
}

/** A request whose body is bound. */
class BoundRequest extends Request {
  declare [bodyKey]: RequestBody;

  override get body(): Bytes | null {
    return this[bodyKey].stream(() => super.body);
  }

  override arrayBuffer(): Promise<ArrayBuffer> {
    return this[bodyKey].read(
      this,
      () => super.arrayBuffer(),
      (body) => body.arrayBuffer(),
    );
  }

  override blob(): Promise<Blob> {
    return this[bodyKey].read(this, () => super.blob(), (body) => body.blob());
  }

  override bytes(): Promise<Uint8Array<ArrayBuffer>> {
    return this[bodyKey].read(
      this,
      () => super.bytes(),
      (body) => body.bytes(),
    );
  }

  override formData(): Promise<FormData> {
    return this[bodyKey].read(
      this,
      () => super.formData(),
      (body) => body.formData(),
    );
  }

  override json(): Promise<unknown> {
    return this[bodyKey].read(this, () => super.json(), (body) => body.json());
  }

  override text(): Promise<string> {
    return this[bodyKey].read(this, () => super.text(), (body) => body.text());
  }

  override textStream(): ReadableStream<string> {
    return this.body?.pipeThrough(new TextDecoderStream()) ??
      super.textStream();
  }

  override clone(): Request {
    const clone = super.clone();
    this[bodyKey].bindClone(clone);
    setExchange(clone, exchangeOf(this)!);
    return clone;
  }
}
