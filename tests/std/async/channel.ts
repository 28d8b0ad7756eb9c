// `npm:deno-std` ships a channel that cannot be loaded (it imports a path that
// the package does not have), so this one is our own, with the upstream API.

/** What `send` rejects with on a closed channel; `value` was not sent. */
export class ChannelClosedError extends Error {
  /** The value that was not sent. */
  declare readonly value?: unknown;

  constructor(message: string, ...rest: [value: unknown] | []) {
    super(message);
    this.name = "ChannelClosedError";
    if (rest.length > 0) {
      Object.defineProperty(this, "value", {
        value: rest[0],
        enumerable: true,
      });
    }
  }
}

/** What `tryReceive` found. */
export type ChannelReceiveResult<T> =
  | { state: "ok"; value: T }
  | { state: "empty" }
  | { state: "closed" };

/** Options for {@linkcode Channel}. */
export interface ChannelOptions {
  /** How many values may wait in it, by default none. */
  capacity?: number;
}

/** Options for `send` of {@linkcode Channel}. */
export interface ChannelSendOptions {
  /** Aborts the wait. */
  signal?: AbortSignal;
}

/** Options for `receive` of {@linkcode Channel}. */
export interface ChannelReceiveOptions {
  /** Aborts the wait. */
  signal?: AbortSignal;
}

interface Waiter<V, R> {
  value: V;
  resolve(result: R): void;
  reject(reason: unknown): void;
}

function wait<V, R>(
  queue: Waiter<V, R>[],
  value: V,
  signal: AbortSignal | undefined,
): Promise<R> {
  if (signal?.aborted) return Promise.reject(signal.reason);
  return new Promise<R>((resolve, reject) => {
    const leave = () => signal?.removeEventListener("abort", abort);
    const waiter: Waiter<V, R> = {
      value,
      resolve(result) {
        leave();
        resolve(result);
      },
      reject(reason) {
        leave();
        reject(reason);
      },
    };
    const abort = () => {
      queue.splice(queue.indexOf(waiter), 1);
      reject(signal?.reason);
    };
    queue.push(waiter);
    signal?.addEventListener("abort", abort, { once: true });
  });
}

/** Passes values, in order, from those who send to those who receive. */
export class Channel<T>
  implements AsyncIterable<T>, Disposable, AsyncDisposable {
  readonly #capacity: number;
  readonly #buffer: T[] = [];
  readonly #senders: Waiter<T, void>[] = [];
  readonly #receivers: Waiter<undefined, T>[] = [];
  #closed: { error: unknown; clean: boolean } | undefined;

  constructor(options: ChannelOptions = {}) {
    const { capacity = 0 } = options;
    if (!Number.isInteger(capacity) || capacity < 0) {
      throw new RangeError(
        `The capacity of a channel must be a whole number: ${capacity}`,
      );
    }
    this.#capacity = capacity;
  }

  /** Whether it has been closed. */
  get closed(): boolean {
    return this.#closed !== undefined;
  }

  /** How many values wait in it. */
  get size(): number {
    return this.#buffer.length;
  }

  /** How many values may wait in it. */
  get capacity(): number {
    return this.#capacity;
  }

  /** Sends a value; resolves when there was room for it or it was received. */
  send(value: T, options?: ChannelSendOptions): Promise<void> {
    if (this.#closed) return Promise.reject(unsent(value));
    if (this.trySend(value)) return Promise.resolve();
    return wait(this.#senders, value, options?.signal);
  }

  /** Receives a value; waits for one if there is none. */
  receive(options?: ChannelReceiveOptions): Promise<T> {
    const found = this.tryReceive();
    if (found.state === "ok") return Promise.resolve(found.value);
    if (this.#closed) return Promise.reject(this.#closed.error);
    return wait(this.#receivers, undefined, options?.signal);
  }

  /** Sends a value if that is possible at once. */
  trySend(value: T): boolean {
    if (this.#closed) return false;
    const receiver = this.#receivers.shift();
    if (receiver) {
      receiver.resolve(value);
      return true;
    }
    if (this.#buffer.length >= this.#capacity) return false;
    this.#buffer.push(value);
    return true;
  }

  /** Receives a value if that is possible at once. */
  tryReceive(): ChannelReceiveResult<T> {
    const sender = this.#senders.shift();
    if (sender) {
      this.#buffer.push(sender.value);
      sender.resolve();
    }
    if (this.#buffer.length > 0) {
      return { state: "ok", value: this.#buffer.shift() as T };
    }
    return { state: this.#closed ? "closed" : "empty" };
  }

  /** Closes it. What waits in it can still be received. */
  close(): void;
  /** Closes it; after what waits in it, receivers get the reason. */
  close(reason: unknown): void;
  close(...args: [reason: unknown] | []): void {
    if (this.#closed) return;
    this.#closed = args.length > 0 ? { error: args[0], clean: false } : {
      error: new ChannelClosedError("Cannot receive from a closed channel"),
      clean: true,
    };
    for (const sender of this.#senders.splice(0)) {
      sender.reject(unsent(sender.value));
    }
    for (const receiver of this.#receivers.splice(0)) {
      receiver.reject(this.#closed.error);
    }
  }

  /** The values, until it is closed. */
  async *[Symbol.asyncIterator](): AsyncIterableIterator<T> {
    for (;;) {
      let value: T;
      try {
        value = await this.receive();
      } catch (error) {
        if (this.#ended(error)) return;
        throw error;
      }
      yield value;
    }
  }

  /** The values as a stream; to cancel the stream closes the channel. */
  toReadableStream(): ReadableStream<T> {
    return new ReadableStream<T>({
      pull: async (controller) => {
        try {
          controller.enqueue(await this.receive());
        } catch (error) {
          if (this.#ended(error)) controller.close();
          else controller.error(error);
        }
      },
      cancel: (reason) => {
        if (reason === undefined) this.close();
        else this.close(reason);
      },
    });
  }

  [Symbol.dispose](): void {
    this.close();
  }

  [Symbol.asyncDispose](): Promise<void> {
    this.close();
    return Promise.resolve();
  }

  #ended(error: unknown): boolean {
    return this.#closed?.clean === true && this.#closed.error === error;
  }
}

function unsent(value: unknown): ChannelClosedError {
  return new ChannelClosedError("Cannot send to a closed channel", value);
}
