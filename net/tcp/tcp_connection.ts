/** A connection that ends with its context. */

import type { CancelableContext, Context } from "../../context/context.ts";
import { isCanceled } from "../../context/is_canceled.ts";
import { withCancel } from "../../context/with_cancel.ts";
import { ClientGone } from "../client_gone.ts";
import { IdleTimeout, IdleTimer } from "../idle_timer.ts";
import { realTimers } from "../real_timers.ts";

/** What all connections of a server have in common. */
export interface TcpConnectionOptions {
  /** In ms. */
  readonly idleTimeout: number;
  /** Whether a peer that sends no more may still be answered. */
  readonly allowHalfOpen: boolean;
}

/**
 * How much is read ahead, in bytes, to see whether the peer is still there: a
 * little at a time, for each connection that nobody reads has a buffer of that
 * size, up to what is enough for most requests.
 */
const readAheadStep = 512;
const readAheadLimit = 16_384;

/** How long, in ms, what nobody will read any more is still taken from the peer. */
const lingerTime = 1_000;

/**
 * A connection, and a context that is done when its peer has closed it or nothing
 * has moved on it for a while. Reads and writes that its context cuts short
 * reject with the `err` of that.
 *
 * That a peer has closed shows to a read only. While the handler is busy with
 * something else, {@linkcode watch} reads in its place; what comes is kept for
 * the handler's next read, so the end is seen in its order: after all that the
 * peer had sent.
 */
export class TcpConnection implements Deno.Conn<Deno.NetAddr> {
  /** Done when the connection is of no use any more. */
  readonly ctx: CancelableContext;
  readonly #conn: Deno.TcpConn | Deno.TlsConn;
  readonly #allowHalfOpen: boolean;
  readonly #idle: IdleTimer;
  #readable: ReadableStream<Uint8Array<ArrayBuffer>> | undefined;
  #writable: WritableStream<Uint8Array<ArrayBufferLike>> | undefined;
  /** Reads of the handler that are under way. */
  #reading = 0;
  /** Whether nothing was read between two looks of {@linkcode watch}. */
  #quiet = false;
  /** The read in the handler's place; settles when it has come to something. */
  #watching: Promise<void> | undefined;
  /** What it has read. */
  #ahead: Uint8Array = new Uint8Array();
  /** How it has ended, if it was not well. */
  #end: { error: unknown } | "closed" | undefined;
  /** What has told that the peer has gone. */
  #reset: unknown;
  #closed = false;
  #writeClosed = false;

  constructor(
    parent: Context,
    conn: Deno.TcpConn | Deno.TlsConn,
    { idleTimeout, allowHalfOpen }: TcpConnectionOptions,
  ) {
    this.ctx = withCancel(parent);
    this.#conn = conn;
    this.#allowHalfOpen = allowHalfOpen;
    this.#idle = new IdleTimer(idleTimeout, () => {
      this.ctx.cancel(new IdleTimeout(idleTimeout));
      this.close();
    });
  }

  get localAddr(): Deno.NetAddr {
    return this.#conn.localAddr;
  }

  get remoteAddr(): Deno.NetAddr {
    return this.#conn.remoteAddr;
  }

  async read(p: Uint8Array): Promise<number | null> {
    if (p.length === 0) return 0;
    this.#reading++;
    try {
      while (this.#watching !== undefined) await this.#watching;
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

  /** Called every now and then: from the second time on without a read it reads. */
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
        // A handler that reads, or has something left to, will be told in turn.
        if (this.#reading === 0 && this.#ahead.length === 0) this.#peerClosed();
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

  /** The error that a read or write is to fail with. */
  #failed(error: unknown): unknown {
    // Closed under it: the context says why.
    if (this.#closed) return this.ctx.err ?? error;
    // To write after closeWrite(), or what is no bytes, is the handler's mistake.
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
   * The handler has returned. To close a connection with something unread resets
   * it, and the peer might lose what was written; so that is read first, for a
   * while.
   */
  async end(): Promise<void> {
    this.ctx.cancel();
    this.#idle.stop();
    try {
      if (!this.#closed && await this.#hasUnread()) await this.#linger();
    } catch {
      // The peer has gone, or it is the hard moment.
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
    // Before all else: a write that the handler has given up may be stuck.
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

/** Errors of a peer that is not there any more; the last one is that of TLS. */
function isReset(error: unknown): boolean {
  return error instanceof Deno.errors.ConnectionReset ||
    error instanceof Deno.errors.ConnectionAborted ||
    error instanceof Deno.errors.BrokenPipe ||
    error instanceof Deno.errors.UnexpectedEof;
}

function joined(one: Uint8Array, other: Uint8Array): Uint8Array {
  const both = new Uint8Array(one.length + other.length);
  both.set(one);
  both.set(other, one.length);
  return both;
}
