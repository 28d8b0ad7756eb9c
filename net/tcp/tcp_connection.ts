/** TCP connections that end with their context. */

import type { CancelableContext, Context } from "../../context/context.ts";
import { isCanceled } from "../../context/is_canceled.ts";
import { observer } from "../../context/tree_observer.ts";
import { withCancel } from "../../context/with_cancel.ts";
import { ClientGone } from "../client_gone.ts";
import { addrText } from "../host_port.ts";
import { IdleTimeout, IdleTimer } from "../idle_timer.ts";
import { realTimers } from "../real_timers.ts";
import type { ServerAddr } from "../server.ts";

/** Options for all connections of a server. */
export interface TcpConnectionOptions {
  /** Idle timeout in ms. */
  readonly idleTimeout: number;
  /** Keeps ctx open when the peer has half-closed the connection. */
  readonly allowHalfOpen: boolean;
}

/**
 * Number of bytes that one read-ahead takes, and limit of what it keeps. The step is
 * small because every connection that its handler does not read holds a buffer of
 * that size; the limit is enough for most requests.
 */
const readAheadStep = 512;
const readAheadLimit = 16_384;

/** Time in ms for which a closing connection still reads and drops data. */
const lingerTime = 1_000;

/**
 * A connection with a context that is done when the peer has closed the connection
 * or the connection is idle. Reads and writes that the context cuts short reject
 * with `ctx.err`.
 *
 * Only a read shows that a peer has closed. While the handler does something else,
 * {@linkcode watch} reads ahead, and keeps the data for the handler's next read. So
 * the handler sees the end in its place: after everything that the peer has sent.
 */
export class TcpConnection<Addr extends ServerAddr = Deno.NetAddr>
  implements Deno.Conn<Addr> {
  /** Done when the connection has ended. */
  readonly ctx: CancelableContext;
  readonly #conn: Deno.Conn<Addr>;
  readonly #allowHalfOpen: boolean;
  readonly #idle: IdleTimer;
  #readable: ReadableStream<Uint8Array<ArrayBuffer>> | undefined;
  #writable: WritableStream<Uint8Array<ArrayBufferLike>> | undefined;
  /** Number of pending reads of the handler. */
  #reading = 0;
  /** Set by `watch()`: true if the handler was not reading at that time. */
  #quiet = false;
  /** Pending read-ahead. Never rejects. */
  #watching: Promise<void> | undefined;
  /** Data that was read ahead. */
  #ahead: Uint8Array = new Uint8Array();
  /** Set when a read-ahead has found the end of the stream or failed. */
  #end: { error: unknown } | "closed" | undefined;
  /** Error that showed that the peer has gone. */
  #reset: unknown;
  #closed = false;
  #writeClosed = false;

  constructor(
    parent: Context,
    conn: Deno.Conn<Addr>,
    { idleTimeout, allowHalfOpen }: TcpConnectionOptions,
  ) {
    this.ctx = withCancel(parent);
    observer?.described(
      this.ctx,
      "connection",
      () => `TCP ${addrText(conn.remoteAddr)}`,
    );
    this.#conn = conn;
    this.#allowHalfOpen = allowHalfOpen;
    this.#idle = new IdleTimer(idleTimeout, () => {
      this.ctx.cancel(new IdleTimeout(idleTimeout));
      this.close();
    });
  }

  get localAddr(): Addr {
    return this.#conn.localAddr;
  }

  get remoteAddr(): Addr {
    return this.#conn.remoteAddr;
  }

  async read(p: Uint8Array): Promise<number | null> {
    if (p.length === 0) return 0;
    this.#reading++;
    try {
      while (this.#watching !== undefined) await this.#watching;
      if (this.#closed) throw this.ctx.err;
      if (this.#ahead.length > 0) return this.#takeAhead(p);
      const end = this.#end;
      if (end === "closed") return this.#peerClosed();
      if (end !== undefined) throw end.error;
      const n = await this.#conn.read(p);
      if (n === null) return this.#peerClosed();
      this.#idle.touch();
      return n;
    } catch (error) {
      throw this.#failed(error);
    } finally {
      this.#reading--;
      this.#quiet = false;
    }
  }

  async write(p: Uint8Array): Promise<number> {
    try {
      const n = await this.#conn.write(p);
      this.#idle.touch();
      return n;
    } catch (error) {
      throw this.#failed(error);
    }
  }

  async closeWrite(): Promise<void> {
    this.#writeClosed = true;
    try {
      await this.#conn.closeWrite();
    } catch (error) {
      throw this.#failed(error);
    }
  }

  get readable(): ReadableStream<Uint8Array<ArrayBuffer>> {
    return this.#readable ??= new ReadableStream({
      type: "bytes",
      autoAllocateChunkSize: 65_536,
      pull: async (controller) => {
        const request = controller.byobRequest!;
        const n = await this.read(request.view as Uint8Array);
        if (n === null) controller.close();
        request.respond(n ?? 0);
      },
    });
  }

  get writable(): WritableStream<Uint8Array<ArrayBufferLike>> {
    return this.#writable ??= new WritableStream({
      write: async (chunk) => {
        for (let at = 0; at < chunk.length;) {
          at += await this.write(chunk.subarray(at));
        }
      },
      close: () => this.closeWrite(),
    });
  }

  ref(): void {
    this.#conn.ref();
  }

  unref(): void {
    this.#conn.unref();
  }

  close(): void {
    this.#closed = true;
    this.#idle.stop();
    this.ctx.cancel();
    try {
      this.#conn.close();
    } catch (error) {
      // Closing twice is harmless.
      if (!(error instanceof Deno.errors.BadResource)) throw error;
    }
  }

  [Symbol.dispose](): void {
    this.close();
  }

  /** Called at intervals. Reads ahead if the handler has not read since the last call. */
  watch(): void {
    const idle = this.#reading === 0 && this.#watching === undefined &&
      this.#ahead.length < readAheadLimit && this.#end === undefined &&
      !this.#closed;
    if (idle && this.#quiet) this.#watching = this.#readAhead();
    this.#quiet = idle;
  }

  async #readAhead(): Promise<void> {
    const buffer = new Uint8Array(readAheadStep);
    try {
      const n = await this.#conn.read(buffer);
      if (n === null) {
        this.#end = "closed";
        // A handler that has data left to read gets to the end later.
        if (this.#ahead.length === 0) this.#peerClosed();
      } else {
        this.#idle.touch();
        this.#ahead = joined(this.#ahead, buffer.subarray(0, n));
      }
    } catch (error) {
      this.#end = { error: this.#failed(error) };
    } finally {
      this.#watching = undefined;
    }
  }

  #takeAhead(p: Uint8Array): number {
    const n = Math.min(p.length, this.#ahead.length);
    p.set(this.#ahead.subarray(0, n));
    this.#ahead = this.#ahead.subarray(n);
    return n;
  }

  #peerClosed(): null {
    if (!this.#allowHalfOpen) this.ctx.cancel(new ClientGone());
    return null;
  }

  /** Turns an error of the socket into the one that the handler gets. */
  #failed(error: unknown): unknown {
    // Closed under the handler: ctx.err says why.
    if (this.#closed) return this.ctx.err ?? error;
    // A write after closeWrite(), or of no bytes, is a mistake of the handler.
    if (this.#writeClosed && error instanceof Deno.errors.BrokenPipe) {
      return error;
    }
    if (error instanceof TypeError || error instanceof RangeError) return error;
    if (isReset(error)) this.#reset = error;
    this.ctx.cancel(new ClientGone({ cause: error }));
    return error;
  }

  /** Reports whether `error` only passes on the end of the connection. */
  explains(error: unknown): boolean {
    return isCanceled(this.ctx, error) ||
      (error !== undefined && error === this.#reset);
  }

  /**
   * Closes the connection after the handler has returned. Closing a connection with
   * unread data resets it, and the peer could lose the answer; so that data is read
   * and dropped first, for up to a second.
   */
  async end(): Promise<void> {
    this.ctx.cancel();
    this.#idle.stop();
    try {
      if (!this.#closed && await this.#hasUnread()) await this.#linger();
    } catch {
      // The peer has gone, or the grace period is over.
    }
    this.close();
  }

  async #hasUnread(): Promise<boolean> {
    if (this.#ahead.length === 0 && this.#end === undefined) {
      const { promise: turn, resolve } = Promise.withResolvers<void>();
      const timer = realTimers.setTimeout(resolve);
      await Promise.race([this.#watching ??= this.#readAhead(), turn]);
      realTimers.clearTimeout(timer);
    }
    return this.#ahead.length > 0;
  }

  async #linger(): Promise<void> {
    // Set first: closeWrite() waits for a write that the handler has abandoned.
    const timer = realTimers.setTimeout(() => this.close(), lingerTime);
    const buffer = new Uint8Array(readAheadLimit);
    try {
      await this.#conn.closeWrite();
      while (await this.#conn.read(buffer) !== null);
    } finally {
      realTimers.clearTimeout(timer);
    }
  }
}

/**
 * Reports whether `error` shows that the peer has gone. TLS gives UnexpectedEof; a
 * peer that answers no longer, TimedOut.
 */
function isReset(error: unknown): boolean {
  return error instanceof Deno.errors.ConnectionReset ||
    error instanceof Deno.errors.ConnectionAborted ||
    error instanceof Deno.errors.BrokenPipe ||
    error instanceof Deno.errors.UnexpectedEof ||
    error instanceof Deno.errors.TimedOut;
}

function joined(one: Uint8Array, other: Uint8Array): Uint8Array {
  const both = new Uint8Array(one.length + other.length);
  both.set(one);
  both.set(other, one.length);
  return both;
}
