/**
 * Contexts across threads.
 *
 * Protocol, on one MessageChannel for each context:
 *
 * 1. `contextPort` sends an {@linkcode Opening} at once, and an {@linkcode End} when
 *    its ctx is done. `withPort` sends a {@linkcode Farewell} when its ctx is done.
 * 2. After a Farewell, the sender closes its port, and so does its receiver. An End is not followed by a close: a port that has been closed
 *    can no longer be transferred in Node, and the receiver may not have it yet.
 * 3. Both ports are unreferenced, so neither keeps a process alive.
 * 4. A message can only shorten the life of the receiving context, and set the values
 *    of keys that `withPort` was given. Anything that does not parse is ignored.
 */

import { assertContext } from "./assert_context.ts";
import { assertOptions } from "./assert_options.ts";
import type { CancelableContext, Context } from "./context.ts";
import { Ending } from "./ending.ts";
import { isError } from "./error_parts.ts";
import { assertKey, type Key } from "./key.ts";
import { remaining } from "./remaining.ts";
import { shown } from "./shown.ts";
import {
  clock,
  DeadlineNode,
  expiry,
  graceEnd,
  GraceNode,
  label,
  Node,
  QuietWatch,
  read,
  Tie,
  ValueContext,
} from "./tree.ts";

/** Options for {@linkcode contextPort} and {@linkcode withPort}. */
export interface PortOptions {
  /**
   * Keys of the values to send or to receive, made by `createKey`; none by default.
   * They are matched by name, so the names must differ. Each side names its own: a
   * value arrives if both do.
   */
  values?: readonly { readonly name: string }[] | undefined;
}

/** A context that follows one of another thread: the result of `withPort`. */
export interface PortContext extends CancelableContext {
  /**
   * Promise that resolves when the deadline and the values of the other side have
   * arrived, or the context is done, whichever is first. Never rejects.
   */
  readonly ready: Promise<void>;
}

/**
 * Makes a port through which a context of another thread can follow `ctx`: its
 * cancellation with the cause, its deadline, and values that you choose. Send the
 * port with `postMessage` to a worker, a page or a frame, which passes it to
 * `withPort`.
 *
 * Make one port for each receiver and transfer it once. The port closes when the
 * receiver's context is done, which also follows from the end of `ctx`; it keeps
 * neither process nor worker alive. If `ctx` is done already, so is the receiver's
 * context as soon as it is ready.
 *
 * - An error as the cause arrives as an Error with its name and its message, anything
 *   else as text: classes, stacks and properties do not travel.
 * - The deadline is sent ahead, so a receiver that is too busy to read messages still
 *   sees it. The time that the message takes counts as well. One that begins after
 *   this call, such as the end of a grace period, is not: only its passing is sent.
 * - Values are copied as by `structuredClone`: functions cannot be sent, instances of
 *   classes become plain objects.
 *
 * @param ctx The context to follow.
 * @param options The values to send.
 * @returns A port to be transferred.
 * @throws {TypeError} If `ctx` is not a context, an option is of the wrong type, two
 * keys have the same name, or a value cannot be copied.
 *
 * @example A job that a page can stop, while its worker is busy with it
 * ```ts ignore
 * // in the page
 * using ctx = withTimeout(background(), 5_000);
 * const port = contextPort(ctx, { values: [userKey] });
 * worker.postMessage({ job, port }, [port]);
 *
 * // in the worker
 * onmessage = async ({ data: { job, port } }) => {
 *   using ctx = withPort(background(), port, { values: [userKey] });
 *   await ctx.ready;
 *   for (const step of job) {
 *     if (ctx.err) break; // the deadline has passed
 *     work(step);
 *   }
 * };
 * ```
 *
 * @example Both ends
 * ```ts
 * import { background, cause, contextPort, withCancel, withPort } from "@curfew/context";
 * import { assertEquals } from "@std/assert";
 *
 * const job = withCancel(background());
 * const port = contextPort(job); // send this to a worker
 * using ctx = withPort(background(), port); // and do this there
 * job.cancel("the user pressed stop");
 * const keepAlive = setInterval(() => {}, 1_000); // a port does not
 * await ctx.done;
 * clearInterval(keepAlive);
 * assertEquals(ctx.err?.name, "AbortError");
 * assertEquals(cause(ctx), "the user pressed stop");
 * ```
 */
export function contextPort(
  ctx: Context,
  options: PortOptions = {},
): MessagePort {
  assertContext("contextPort", ctx);
  const opening = openingOf(ctx, keysOf("contextPort", options));
  const { port1: here, port2: there } = new MessageChannel();
  try {
    here.postMessage(opening);
  } catch (error) {
    here.close();
    throw uncopied(opening.values, error);
  }
  const watch = new QuietWatch(ctx, (ending) => {
    here.postMessage(endOf(ending));
  }).start();
  listen(here, (data) => {
    if (!isMessage(data, "farewell")) return;
    watch.stop();
    here.close();
  });
  here.addEventListener("close", () => watch.stop());
  return there;
}

/**
 * Derives a context that follows one of another thread through a port of
 * `contextPort`: it is done when that is, with the same kind of `err` and its cause,
 * or when `parent` is. Its own end does not affect the other side's context.
 *
 * The port belongs to the context from now on and is closed when it is done, so end
 * the context, with `using`. The deadline and the values arrive with the first
 * message: await `ready` if you need them, or before you keep the thread busy or make a
 * port of this context for a third thread. An open port keeps neither process nor
 * worker alive.
 *
 * If the other thread ends before its context does, this one is done with a cause
 * named `PortClosed` in Node and in browsers. Deno does not report that; there only
 * the deadline bounds the work.
 *
 * The other side can end this context, and set those values that you ask for, but
 * nothing else: a deadline can only be shortened.
 *
 * @param parent The context to derive from.
 * @param port The port that was received.
 * @param options The values to receive. They take precedence over those of `parent`.
 * @returns The child; done from the start if `parent` is.
 * @throws {TypeError} If `parent` is not a context, `port` is not a MessagePort or
 * belongs to another context, an option is of the wrong type, or two keys have the
 * same name.
 *
 * @example Values, from one thread to another
 * ```ts
 * import { background, contextPort, createKey, withPort, withValue } from "@curfew/context";
 * import { assertEquals } from "@std/assert";
 *
 * const userKey = createKey<string>("user"); // in a module that both sides import
 * const request = withValue(background(), userKey, "ada");
 * const port = contextPort(request, { values: [userKey] });
 *
 * using ctx = withPort(background(), port, { values: [userKey] });
 * const keepAlive = setInterval(() => {}, 1_000);
 * await ctx.ready;
 * clearInterval(keepAlive);
 * assertEquals(ctx.value(userKey), "ada");
 * ```
 */
export function withPort(
  parent: Context,
  port: MessagePort,
  options: PortOptions = {},
): PortContext {
  assertContext("withPort", parent);
  if (!(port instanceof MessagePort)) {
    throw new TypeError(
      `withPort: expected a MessagePort, got ${typeof port}: name the port in ` +
        "the message and in the transfer list, as in postMessage({ port }, [port])",
    );
  }
  const keys = keysOf("withPort", options);
  // The end of one context closes the port, and the other would not hear of it.
  if (taken.has(port)) {
    throw new TypeError(
      "withPort: the port belongs to another context, derive from that one, or " +
        "make a second port with contextPort()",
    );
  }
  taken.add(port);
  const values = new Map<string, unknown>();
  let base = parent;
  for (const key of keys) base = new PortValue(base, key, values);
  const node = new PortNode(base, port, values);
  if (!Node.isMarked(node)) listen(port, (data) => node.receive(data));
  return node;
}

/** Ports that belong to a context. */
const taken = new WeakSet<MessagePort>();

/** Field that tells our messages from others; its value is their kind. */
const kindField = "@curfew/context";

/** First message of `contextPort`. */
interface Opening {
  readonly [kindField]: "opening";
  /** Time left in ms; Infinity without a deadline. */
  readonly left: number;
  /** Wall time of the sender, which both sides share; undefined for a test clock. */
  readonly sentAt: number | undefined;
  /** The way in which the context ends when its deadline passes. */
  readonly expiry: End | undefined;
  /** The end of a ctx that was done already. */
  readonly end: End | undefined;
  readonly values: readonly (readonly [string, unknown])[];
}

/** The end of a context. */
interface End {
  readonly [kindField]: "end";
  readonly err: string;
  readonly cause: Cause | undefined;
}

/** A cause as text; `name` is that of an error. */
interface Cause {
  readonly text: string;
  readonly name: string | undefined;
}

/** Last message of `withPort`. */
interface Farewell {
  readonly [kindField]: "farewell";
}

function openingOf(ctx: Context, keys: readonly Key<unknown>[]): Opening {
  const ended = Node.endingOf(ctx);
  const expiry = Node.expiryOf(ctx);
  return {
    [kindField]: "opening",
    // 0 would look like a deadline that has passed.
    left: ended === undefined ? remaining(ctx) : Infinity,
    sentAt: clock.isFake ? undefined : Date.now(),
    expiry: expiry && endOf(expiry),
    end: ended && endOf(ended),
    values: keys.map((key) => [key.name, ctx.value(key)] as const)
      .filter(([, value]) => value !== undefined),
  };
}

function endOf(ending: Ending): End {
  const { err, cause } = ending;
  return {
    [kindField]: "end",
    err: err.name,
    cause: cause === err ? undefined : textOf(cause),
  };
}

function textOf(cause: unknown): Cause {
  try {
    return isError(cause)
      ? { text: String(cause.message), name: String(cause.name) }
      : { text: String(cause), name: undefined };
  } catch {
    return { text: "a cause without a string", name: undefined };
  }
}

function keysOf(caller: string, options: PortOptions): Key<unknown>[] {
  assertOptions(caller, options);
  const { values = [] } = options;
  if (!Array.isArray(values)) {
    throw new TypeError(
      `${caller}: expected values to be an array of keys, got ${shown(values)}`,
    );
  }
  const names = new Set<string>();
  for (const key of values) {
    assertKey(caller, key);
    if (names.has(key.name)) {
      throw new TypeError(
        `${caller}: two keys are named "${key.name}": rename one, values are ` +
          "matched by the name of their key",
      );
    }
    names.add(key.name);
  }
  return values as Key<unknown>[];
}

/** Names the value that the platform has refused to copy. */
function uncopied(values: Opening["values"], error: unknown): TypeError {
  const [name] = values.find(([, value]) => !isCopyable(value)) ?? [];
  return new TypeError(
    `contextPort: the value of "${name}" cannot be copied to another thread: ` +
      "leave its key out of values",
    { cause: error },
  );
}

function isCopyable(value: unknown): boolean {
  try {
    structuredClone(value);
    return true;
  } catch {
    return false;
  }
}

/** Calls `receive` with each message, without keeping the process alive. */
function listen(port: MessagePort, receive: (data: unknown) => void): void {
  port.addEventListener("message", ({ data }) => receive(data));
  port.start();
  // Not in browsers. In Node and Deno a listener references the port.
  (port as { unref?(): void }).unref?.();
}

/** Returns whether `data` is a message of ours; its other fields are unchecked. */
function isMessage<K extends "opening" | "end" | "farewell">(
  data: unknown,
  kind: K,
): data is { [kindField]: K } & Record<string, unknown> {
  return typeof data === "object" && data !== null &&
    (data as Record<string, unknown>)[kindField] === kind;
}

/** A value of the other side; before it arrives, that of the contexts above. */
class PortValue extends ValueContext {
  readonly #above: Context;
  readonly #own: Key<unknown>;
  readonly #values: ReadonlyMap<string, unknown>;

  constructor(
    parent: Context,
    key: Key<unknown>,
    values: ReadonlyMap<string, unknown>,
  ) {
    super(parent, key, undefined);
    this.#above = parent;
    this.#own = key;
    this.#values = values;
  }

  override [read](): unknown {
    const { name } = this.#own;
    return this.#values.has(name)
      ? this.#values.get(name)
      : this.#above.value(this.#own);
  }
}

/** The receiving side. Its deadline comes later, as with a grace period. */
class PortNode extends GraceNode implements PortContext {
  readonly #above: Context;
  readonly #values: Map<string, unknown>;
  readonly #ready: Promise<void>;
  #resolve!: () => void;
  #isOpen = false;
  #expiry: Ending | undefined;

  constructor(
    parent: Context,
    port: MessagePort,
    values: Map<string, unknown>,
  ) {
    super(parent, Infinity);
    this.#above = parent;
    this.#values = values;
    this.#ready = new Promise((resolve) => this.#resolve = resolve);
    const tie = new PortTie(this, Node.tieOf(this), port, this.#resolve);
    if (Node.isMarked(this)) {
      tie.release();
      return;
    }
    Node.tie(this, tie);
    port.addEventListener("close", () => this.#lose("has closed its port"));
    port.addEventListener(
      "messageerror",
      () => this.#lose("sent a message that cannot be read here"),
    );
  }

  get ready(): Promise<void> {
    return this.#ready;
  }

  receive(data: unknown): void {
    // A deadline that has passed meanwhile came first: looking ends the context.
    if (this.err !== undefined) return;
    if (isMessage(data, "end")) Node.end(this, endingFrom(data));
    else if (isMessage(data, "opening") && !this.#isOpen) this.#open(data);
  }

  #open(opening: Record<string, unknown>): void {
    const { left, sentAt, expiry, end, values } = opening;
    this.#isOpen = true;
    if (Array.isArray(values)) {
      for (const entry of values) {
        if (Array.isArray(entry)) this.#values.set(entry[0], entry[1]);
      }
    }
    if (isMessage(expiry, "end")) this.#expiry = endingFrom(expiry);
    if (isMessage(end, "end")) Node.end(this, endingFrom(end));
    if (isTime(left)) {
      const now = clock.now();
      const at = now + Math.max(0, left - transit(sentAt));
      DeadlineNode.advance(this, at, now);
    }
    this.#resolve();
  }

  #lose(what: string): void {
    const cause = new Error(`withPort: the other side ${what}`);
    cause.name = "PortClosed";
    Node.end(this, Ending.canceled(cause));
  }

  override get [graceEnd](): number {
    return Math.min(DeadlineNode.at(this), Node.due(this.#above));
  }

  override [expiry](): Ending {
    return this.#expiry ?? Ending.exceeded();
  }

  override get [label](): string {
    return "withPort";
  }
}

/** Closes the port when its node has ended. */
class PortTie extends Tie {
  readonly #port: MessagePort;
  readonly #resolve: () => void;

  constructor(
    node: Node,
    outer: Tie | undefined,
    port: MessagePort,
    resolve: () => void,
  ) {
    super(node, outer);
    this.#port = port;
    this.#resolve = resolve;
  }

  override refresh(): void {
    // Nothing can be read from a port before the event loop turns.
  }

  override release(): void {
    this.#resolve();
    const farewell: Farewell = { [kindField]: "farewell" };
    this.#port.postMessage(farewell);
    this.#port.close();
  }
}

function endingFrom({ err, cause }: Record<string, unknown>): Ending {
  const reason = causeFrom(cause);
  return err === "TimeoutError"
    ? Ending.exceeded(reason)
    : Ending.canceled(reason);
}

function causeFrom(cause: unknown): unknown {
  if (typeof cause !== "object" || cause === null) return undefined;
  const { text, name } = cause as Record<string, unknown>;
  if (typeof text !== "string") return undefined;
  if (typeof name !== "string") return text;
  const error = new Error(text);
  error.name = name;
  return error;
}

function isTime(value: unknown): value is number {
  return typeof value === "number" && Number.isFinite(value);
}

/**
 * Returns how long ago a message was sent, in ms: a worker takes a while to start, and
 * a busy one to read. All threads of a machine read one wall clock.
 */
function transit(sentAt: unknown): number {
  if (!isTime(sentAt) || clock.isFake) return 0;
  return Math.max(0, Date.now() - sentAt);
}
