/** A TCP socket without a network. */

import { background, type CancelableContext } from "@curfew/context";
import { assertEquals } from "@std/assert";
import { TcpConnection } from "../../../net/tcp/tcp_connection.ts";
import { encode } from "./connections.ts";

interface PendingRead {
  readonly into: Uint8Array;
  readonly resolve: (n: number | null) => void;
  readonly reject: (error: unknown) => void;
}

/**
 * Socket whose peer is the test. One read may be pending at a time: the reads of a
 * socket are in order only then.
 */
export class ScriptedSocket implements Deno.Conn<Deno.NetAddr> {
  readonly localAddr: Deno.NetAddr = {
    transport: "tcp",
    hostname: "127.0.0.1",
    port: 1,
  };
  readonly remoteAddr: Deno.NetAddr = { ...this.localAddr, port: 2 };
  /** Calls other than reads, in order. */
  readonly calls: string[] = [];
  /** Number of reads that have begun. */
  reads = 0;
  /** Error of the next writes. */
  writeError: Error | undefined;
  #pending: PendingRead | undefined;

  /** True while a read is pending. */
  get isRead(): boolean {
    return this.#pending !== undefined;
  }

  /** Lets the pending read receive `text`. */
  async receive(text: string): Promise<void> {
    const { into, resolve } = this.#take();
    into.set(encode(text));
    resolve(text.length);
    await settled();
  }

  /** Lets the pending read find the end of the stream. */
  async receiveEnd(): Promise<void> {
    this.#take().resolve(null);
    await settled();
  }

  /** Lets the pending read fail. */
  async fail(error: Error): Promise<void> {
    this.#take().reject(error);
    await settled();
  }

  #take(): PendingRead {
    const pending = this.#pending;
    if (pending === undefined) throw new Error("no read is pending");
    this.#pending = undefined;
    return pending;
  }

  read(into: Uint8Array): Promise<number | null> {
    this.reads++;
    if (this.#pending !== undefined) throw new Error("a read is pending");
    return new Promise((resolve, reject) => {
      this.#pending = { into, resolve, reject };
    });
  }

  write(p: Uint8Array): Promise<number> {
    if (this.writeError !== undefined) return Promise.reject(this.writeError);
    return Promise.resolve(p.length);
  }

  closeWrite(): Promise<void> {
    this.calls.push("closeWrite");
    return Promise.resolve();
  }

  close(): void {
    this.calls.push("close");
    this.#pending?.reject(new Deno.errors.BadResource("closed"));
    this.#pending = undefined;
  }

  ref(): void {
    this.calls.push("ref");
  }

  unref(): void {
    this.calls.push("unref");
  }

  get readable(): never {
    throw new Error("not scripted");
  }

  get writable(): never {
    throw new Error("not scripted");
  }

  [Symbol.dispose](): void {
    this.close();
  }
}

/** A connection on a scripted socket. */
export class ScriptedConnection implements Disposable {
  readonly socket = new ScriptedSocket();
  readonly conn: TcpConnection;

  constructor({ idleTimeout = Infinity, allowHalfOpen = false } = {}) {
    this.conn = new TcpConnection(background(), this.socket, {
      idleTimeout,
      allowHalfOpen,
    });
  }

  get ctx(): CancelableContext {
    return this.conn.ctx;
  }

  /** Makes the connection read ahead. */
  readAhead(): void {
    this.conn.watch();
    this.conn.watch();
    assertEquals(this.socket.isRead, true);
  }

  [Symbol.dispose](): void {
    this.conn.close();
  }
}

/** Lets everything run that waits for a promise only. */
export async function settled(): Promise<void> {
  for (let n = 0; n < 20; n++) await Promise.resolve();
}
