import {
  assert,
  assertEquals,
  assertFalse,
  assertInstanceOf,
  assertStrictEquals,
  assertThrows,
} from "@std/assert";
import { FakeTime } from "@std/testing/time";
import {
  background,
  Canceled,
  cause,
  type Context,
  contextPort,
  createKey,
  DeadlineExceeded,
  type PortContext,
  type PortOptions,
  remaining,
  snapshot,
  withCancel,
  withDeadline,
  withGrace,
  withPort,
  withTimeout,
  withValue,
} from "@curfew/context";
import { Wrapper } from "./custom_context.ts";
import { turn } from "./outcome.ts";

const userKey = createKey<string>("user");
const traceKey = createKey<{ id: number }>("trace");

/** Real timers, whatever a test installs. */
const { setInterval, clearInterval } = globalThis;

/** Keeps the process alive for a promise, which a port does not. */
async function held<T>(promise: Promise<T>): Promise<T> {
  const timer = setInterval(() => {}, 1_000);
  try {
    return await promise;
  } finally {
    clearInterval(timer);
  }
}

/** Waits until nothing is registered on `ctx`: its ports have closed. */
async function released(ctx: Context): Promise<void> {
  for (;;) {
    const { children, afterFuncs } = snapshot(ctx);
    if (children.length === 0 && afterFuncs === 0) return;
    await turn();
  }
}

/** A context that follows `ctx`, ready. */
async function followed(
  ctx: Context,
  parent: Context = background(),
): Promise<PortContext> {
  const follower = withPort(parent, contextPort(ctx));
  await held(follower.ready);
  return follower;
}

/** The other side of a context, in the hands of the test. */
class Peer {
  readonly ctx: PortContext;
  /** Number of times that the port of `ctx` was closed. */
  closed = 0;
  readonly #here: MessagePort;
  #sent = 0;
  #delivered = 0;
  #farewell: unknown;

  constructor(options?: PortOptions) {
    const { port1: there, port2: here } = new MessageChannel();
    there.close = () => {
      this.closed++;
      MessagePort.prototype.close.call(there);
    };
    this.ctx = withPort(background(), there, options);
    there.addEventListener("message", () => this.#delivered++);
    here.onmessage = ({ data }) => this.#farewell = data;
    this.#here = here;
  }

  /** Sends messages; returns when they were received, or the port has closed. */
  async send(...messages: unknown[]): Promise<void> {
    for (const message of messages) this.#here.postMessage(message);
    this.#sent += messages.length;
    while (this.#delivered < this.#sent && this.#farewell === undefined) {
      await turn();
    }
  }

  /** Ends the context and returns its last message. */
  async end(): Promise<unknown> {
    this.ctx.cancel();
    while (this.#farewell === undefined) await turn();
    this.#here.close();
    return this.#farewell;
  }
}

const opening = {
  "@curfew/context": "opening",
  left: Infinity,
  values: [],
};

Deno.test("withPort() ends with its other side, with the cause", async () => {
  using ctx = withCancel(background());
  using follower = await followed(ctx);
  assertEquals(follower.err, undefined);
  ctx.cancel("the user pressed stop");
  await held(follower.done);
  assertInstanceOf(follower.err, Canceled);
  assertStrictEquals(follower.signal.reason, follower.err);
  assertEquals(cause(follower), "the user pressed stop");
});

Deno.test("contextPort() sends an error as the cause by name and message", async () => {
  class DiskFull extends RangeError {
    override name = "DiskFull";
    secret = "password";
  }
  using ctx = withCancel(background());
  using follower = await followed(ctx);
  ctx.cancel(new DiskFull("no space left"));
  await held(follower.done);
  const why = cause(follower);
  assertInstanceOf(why, Error);
  assertEquals([why.name, why.message], ["DiskFull", "no space left"]);
  assertEquals(String(why), "DiskFull: no space left");
  assertFalse("secret" in why);
});

Deno.test("contextPort() sends other causes as text", async () => {
  const unprintable = {
    toString(): string {
      throw new Error("no string");
    },
  };
  const table: [unknown, unknown][] = [
    [42, "42"],
    [Symbol("stop"), "Symbol(stop)"],
    [{ code: 7 }, "[object Object]"],
    [Object.create(null), "a cause without a string"],
    [unprintable, "a cause without a string"],
    [false, "false"],
    ["", ""],
    [new DOMException("late", "NotFoundError"), "NotFoundError: late"],
  ];
  for (const [given, text] of table) {
    using ctx = withCancel(background());
    using follower = await followed(ctx);
    ctx.cancel(given);
    await held(follower.done);
    const why = cause(follower);
    assertEquals(why instanceof Error ? String(why) : why, text);
  }
});

Deno.test("withPort() has its err as the cause if its other side has none", async () => {
  using ctx = withCancel(background());
  using follower = await followed(ctx);
  ctx.cancel();
  await held(follower.done);
  assertStrictEquals(cause(follower), follower.err);
});

Deno.test("withPort() is not ready and has no deadline before the first message", async () => {
  using _time = new FakeTime();
  using ctx = withTimeout(background(), 1_000);
  using follower = withPort(background(), contextPort(ctx));
  assertEquals([follower.deadline, remaining(follower)], [undefined, Infinity]);
  await held(follower.ready);
  assertEquals(remaining(follower), 1_000);
});

Deno.test("withPort() ends at the deadline of its other side, with the deadline's cause", async () => {
  using time = new FakeTime();
  using ctx = withTimeout(background(), 1_000, { cause: "slow job" });
  using follower = await followed(ctx);
  time.tick(999);
  assertEquals(follower.err, undefined);
  time.tick(1);
  // No message has arrived since.
  assertInstanceOf(follower.err, DeadlineExceeded);
  assertEquals(cause(follower), "slow job");
});

Deno.test("withPort() wakes those who wait at its deadline", async () => {
  using time = new FakeTime();
  using ctx = withTimeout(background(), 1_000);
  using follower = await followed(ctx);
  const { signal } = follower;
  time.tick(1_000);
  assert(signal.aborted);
  assertInstanceOf(signal.reason, DeadlineExceeded);
  assertStrictEquals(cause(follower), follower.err);
});

Deno.test("withPort() gives its deadline to what was derived before it arrived", async () => {
  using time = new FakeTime();
  using ctx = withTimeout(background(), 1_000);
  using follower = withPort(background(), contextPort(ctx));
  using child = withCancel(follower);
  using early = withTimeout(follower, 400);
  using late = withTimeout(follower, 5_000);
  await held(follower.ready);
  assertEquals([child, early, late].map(remaining), [1_000, 400, 1_000]);
  time.tick(1_000);
  assertStrictEquals(late.err, follower.err);
  assertStrictEquals(child.err, follower.err);
});

Deno.test("withPort() cannot outlive the deadline of its parent", async () => {
  using _time = new FakeTime();
  using ctx = withTimeout(background(), 1_000);
  using parent = withTimeout(background(), 300);
  using follower = withPort(parent, contextPort(ctx));
  assertEquals(remaining(follower), 300);
  await held(follower.ready);
  assertEquals(remaining(follower), 300);
  using wrapped = withPort(new Wrapper(parent), contextPort(ctx));
  assertEquals(remaining(wrapped), 300);
  using earlier = await followed(ctx, withTimeout(background(), 9_000));
  assertEquals(remaining(earlier), 1_000);
});

Deno.test("withPort() ends as its other side does when a grace period is over", async () => {
  using time = new FakeTime();
  const at = Date.now() + 1_000;
  using service = withDeadline(background(), at, { cause: "maintenance" });
  using ctx = withGrace(service, 500);
  using follower = await followed(ctx);
  assertEquals(remaining(follower), 1_500);
  time.tick(1_500);
  // No message has arrived since.
  assertInstanceOf(follower.err, Canceled);
  assertEquals(cause(follower), "maintenance");
});

Deno.test("withPort() counts the time that the message was under way", async () => {
  const peer = new Peer();
  const { ctx } = peer;
  const sentAt = Date.now() - 400;
  await peer.send({ ...opening, left: 100_000, sentAt });
  assert(remaining(ctx) <= 99_600, `${remaining(ctx)}`);
  assert(remaining(ctx) > 0);
  await peer.end();
});

Deno.test("withPort() does not extend a deadline if the other clock is ahead", async () => {
  const peer = new Peer();
  const { ctx } = peer;
  const sentAt = Date.now() + 3_600_000;
  await peer.send({ ...opening, left: 100_000, sentAt });
  assert(remaining(ctx) <= 100_000, `${remaining(ctx)}`);
  await peer.end();
});

Deno.test("withPort() takes time left as it is under a test clock", async () => {
  using _time = new FakeTime(5_000);
  const peer = new Peer();
  const { ctx } = peer;
  await peer.send({ ...opening, left: 1_000, sentAt: 0 });
  assertEquals(remaining(ctx), 1_000);
  await peer.end();
});

Deno.test("contextPort() sends a time only if its clock is real", async () => {
  using ctx = withTimeout(background(), 60_000);
  const first = async () => {
    const port = contextPort(ctx);
    const arrived = new Promise<MessageEvent>((resolve) =>
      port.onmessage = resolve
    );
    const { data } = await arrived;
    port.postMessage({ "@curfew/context": "farewell" });
    await released(ctx);
    port.close();
    return data;
  };
  const before = Date.now();
  const { sentAt } = await first();
  assert(sentAt >= before && sentAt <= Date.now());
  using _time = new FakeTime();
  assertEquals((await first()).sentAt, undefined);
});

Deno.test("withPort() receives the values that both sides name", async () => {
  const otherKey = createKey<string>("other");
  const sender = [
    [userKey, "ada"],
    [traceKey, { id: 7 }],
    [otherKey, "secret"],
  ] as const;
  const ctx = sender.reduce<Context>(
    (ctx, [key, value]) =>
      withValue(ctx, key as typeof userKey, value as string),
    background(),
  );
  const port = contextPort(ctx, { values: [userKey, traceKey] });
  const values = [userKey, otherKey, traceKey];
  using follower = withPort(background(), port, { values });
  assertEquals(follower.value(userKey), undefined);
  await held(follower.ready);
  assertEquals(follower.value(userKey), "ada");
  assertEquals(follower.value(traceKey), { id: 7 });
  assertEquals(follower.value(otherKey), undefined);
  assertEquals(withCancel(follower).value(userKey), "ada");
});

Deno.test("withPort() matches values by the names of their keys", async () => {
  const ctx = withValue(background(), userKey, "ada");
  const port = contextPort(ctx, { values: [userKey] });
  const ownKey = createKey<string>("user");
  using follower = withPort(background(), port, { values: [ownKey] });
  await held(follower.ready);
  assertEquals(follower.value(ownKey), "ada");
  assertEquals(follower.value(userKey), undefined);
});

Deno.test("withPort() has its parent's value until, and unless, another arrives", async () => {
  const parent = withValue(background(), userKey, "parent");
  const values = [userKey, traceKey];
  const ctx = withValue(background(), userKey, "ada");
  using follower = withPort(parent, contextPort(ctx, { values }), { values });
  assertEquals(follower.value(userKey), "parent");
  await held(follower.ready);
  assertEquals(follower.value(userKey), "ada");
  const empty = contextPort(background(), { values });
  using other = withPort(parent, empty, { values });
  await held(other.ready);
  assertEquals(other.value(userKey), "parent");
  assertEquals(other.value(traceKey), undefined);
});

Deno.test("contextPort() of a ctx that is done ends its other side", async () => {
  using ctx = withTimeout(background(), 0, { cause: "too late" });
  using follower = withPort(background(), contextPort(ctx));
  await held(follower.ready);
  assertInstanceOf(follower.err, DeadlineExceeded);
  assertEquals(cause(follower), "too late");
  using canceled = withCancel(background());
  canceled.cancel("enough");
  using second = withPort(background(), contextPort(canceled));
  await held(second.ready);
  assertInstanceOf(second.err, Canceled);
  assertEquals(cause(second), "enough");
});

Deno.test("withPort() of a parent that is done is done at once and closes the port", async () => {
  using ctx = withCancel(background());
  using parent = withCancel(background());
  parent.cancel("enough");
  const follower = withPort(parent, contextPort(ctx));
  assertStrictEquals(follower.err, parent.err);
  await follower.ready;
  await released(ctx);
  assertEquals(ctx.err, undefined);
});

Deno.test("withPort() leaves its other side open when it ends", async () => {
  using ctx = withTimeout(background(), 60_000);
  using parent = withCancel(background());
  const own = await followed(ctx);
  const child = await followed(ctx, parent);
  assertEquals(snapshot(ctx).afterFuncs, 2);
  own.cancel("done with it");
  parent.cancel();
  assertEquals([cause(own), child.err], ["done with it", parent.err]);
  await released(ctx);
  assertEquals(ctx.err, undefined);
});

Deno.test("withPort() and its other side may end together", async () => {
  using ctx = withCancel(background());
  using follower = await followed(ctx);
  ctx.cancel("there");
  follower.cancel("here");
  assertEquals(cause(follower), "here");
  // A message that is still on its way must not change it.
  for (let i = 0; i < 5; i++) await turn();
  assertEquals(cause(follower), "here");
});

Deno.test("withPort() ends by a deadline that has passed before a message was read", async () => {
  using time = new FakeTime();
  const peer = new Peer();
  const { ctx } = peer;
  await peer.send({ ...opening, left: 100 });
  time.tick(100); // fires nothing: nothing waits for ctx
  await peer.send({ "@curfew/context": "end", err: "AbortError" });
  assertInstanceOf(ctx.err, DeadlineExceeded);
  await peer.end();
});

Deno.test("withPort() ignores messages that are not its own", async () => {
  const peer = new Peer();
  const { ctx } = peer;
  const kind = "@curfew/context";
  const garbage = [
    undefined,
    null,
    0,
    "end",
    [],
    new Map([[kind, "end"]]),
    { [kind]: "farewell" },
    { [kind]: "constructor" },
    { [kind]: ["end"] },
    { err: "AbortError" },
  ];
  await peer.send(...garbage);
  assertEquals([ctx.err, remaining(ctx)], [undefined, Infinity]);
  await peer.end();
});

Deno.test("contextPort() ignores messages that are not its own", async () => {
  using ctx = withCancel(background());
  const port = contextPort(ctx);
  for (const data of [null, "farewell", { "@curfew/context": "end" }, {}]) {
    port.postMessage(data);
  }
  for (let i = 0; i < 5; i++) await turn();
  assertEquals([ctx.err, snapshot(ctx).afterFuncs], [undefined, 1]);
  port.postMessage({ "@curfew/context": "farewell" });
  await released(ctx);
  port.close();
});

Deno.test("withPort() says farewell and closes its port once when it ends", async () => {
  const peer = new Peer();
  assertEquals(peer.closed, 0);
  assertEquals(await peer.end(), { "@curfew/context": "farewell" });
  peer.ctx.cancel();
  assertEquals(peer.closed, 1);
});

/** Makes a port for `ctx` and returns both ends of its channel. */
function bothEnds(ctx: Context): { here: MessagePort; there: MessagePort } {
  const { MessageChannel } = globalThis;
  const channels: MessageChannel[] = [];
  globalThis.MessageChannel = class extends MessageChannel {
    constructor() {
      super();
      channels.push(this);
    }
  };
  try {
    const there = contextPort(ctx);
    return { here: channels[0]!.port1, there };
  } finally {
    globalThis.MessageChannel = MessageChannel;
  }
}

Deno.test("contextPort() closes its port when the other side ends", async () => {
  using ctx = withCancel(background());
  const { here, there } = bothEnds(ctx);
  const closed = Promise.withResolvers<void>();
  here.close = closed.resolve;
  there.postMessage({ "@curfew/context": "farewell" });
  await held(closed.promise);
  assertEquals(snapshot(ctx).afterFuncs, 0);
  MessagePort.prototype.close.call(here);
  there.close();
});

Deno.test("contextPort() leaves nothing on ctx if the other side closes without a word", () => {
  using ctx = withCancel(background());
  const { here, there } = bothEnds(ctx);
  assertEquals(snapshot(ctx).afterFuncs, 1);
  // As Node and browsers tell, and Deno does not.
  here.dispatchEvent(new Event("close"));
  assertEquals(snapshot(ctx).afterFuncs, 0);
  here.close();
  there.close();
});

Deno.test("withPort() survives openings with fields of the wrong type", async () => {
  const table: object[] = [
    { left: NaN },
    { left: "5" },
    { left: 10n },
    { left: Infinity, sentAt: -Infinity },
    { left: undefined },
    { values: 5 },
    { values: [5, null, "ab", [], [userKey.name]] },
    { expiry: 5 },
    { expiry: {} },
  ];
  for (const fields of table) {
    const peer = new Peer();
    const { ctx } = peer;
    await peer.send({ ...opening, ...fields });
    assertEquals([ctx.err, remaining(ctx)], [undefined, Infinity]);
    await peer.end();
  }
});

Deno.test("withPort() survives ends with fields of the wrong type", async () => {
  const table: [object, string, unknown][] = [
    [{}, "AbortError", undefined],
    [{ err: 5, cause: 5 }, "AbortError", undefined],
    [{ err: "Error", cause: null }, "AbortError", undefined],
    [{ err: "TimeoutError", cause: { text: 5 } }, "TimeoutError", undefined],
    [{ cause: { text: "stop", name: 5 } }, "AbortError", "stop"],
  ];
  for (const [fields, name, why] of table) {
    const peer = new Peer();
    const { ctx } = peer;
    await peer.send({ "@curfew/context": "end", ...fields });
    assertEquals(ctx.err?.name, name);
    assertEquals(cause(ctx), why ?? ctx.err);
    await peer.end();
  }
});

Deno.test("withPort() ends at once if no time is left, however little", async () => {
  for (const left of [0, -1, -1e300]) {
    const peer = new Peer();
    const { ctx } = peer;
    await peer.send({ ...opening, left });
    assertInstanceOf(ctx.err, DeadlineExceeded);
    assertFalse(Number.isNaN(ctx.deadline?.getTime()));
    await peer.end();
  }
});

Deno.test("withPort() takes the first opening only", async () => {
  using _time = new FakeTime();
  const peer = new Peer({ values: [userKey] });
  const { ctx } = peer;
  await peer.send({ ...opening, left: 1_000, values: [["user", "ada"]] });
  await peer.send({ ...opening, left: 1, values: [["user", "eve"]] });
  assertEquals([remaining(ctx), ctx.value(userKey)], [1_000, "ada"]);
  await peer.end();
});

Deno.test("withPort() ends if a message cannot be read, or the port closes", async () => {
  for (const type of ["messageerror", "close"]) {
    const { port1, port2 } = new MessageChannel();
    using ctx = withPort(background(), port1);
    port1.dispatchEvent(new Event(type));
    assertInstanceOf(ctx.err, Canceled);
    const why = cause(ctx);
    assertInstanceOf(why, Error);
    assertEquals(why.name, "PortClosed");
    assertEquals(
      why.message,
      type === "close"
        ? "withPort: the other side has closed its port"
        : "withPort: the other side sent a message that cannot be read here",
    );
    await ctx.ready;
    port2.close();
  }
});

Deno.test("contextPort() leaves nothing on ctx if a value cannot be copied", () => {
  using root = withCancel(background());
  const traced = withValue(root, traceKey, { id: 7 });
  const ctx = withValue(traced, userKey, (() => {}) as unknown as string);
  const error = assertThrows(
    () => contextPort(ctx, { values: [traceKey, userKey] }),
    TypeError,
    'contextPort: the value of "user" cannot be copied to another thread: ' +
      "leave its key out of values",
  );
  assertInstanceOf(error.cause, DOMException);
  assertEquals(snapshot(root).afterFuncs, 0);
});

Deno.test("contextPort() and withPort() check their arguments", async () => {
  using ctx = withCancel(background());
  const port = contextPort(ctx);
  const twice = [userKey, createKey<number>("user")];
  const table: [() => unknown, string][] = [
    [
      () => contextPort(ctx.signal as unknown as Context),
      "contextPort: expected a context",
    ],
    [
      () => contextPort(ctx, 5 as never),
      "contextPort: expected an object with options, got 5",
    ],
    [
      () => withPort(ctx, port, 5 as never),
      "withPort: expected an object with options, got 5",
    ],
    [
      () => contextPort(ctx, { values: ["user" as never] }),
      '"user" is not a key of a context',
    ],
    [
      () => contextPort(ctx, { values: twice }),
      'contextPort: two keys are named "user": rename one, values are matched ' +
      "by the name of their key",
    ],
    [
      () => withPort(undefined as unknown as Context, port),
      "withPort: expected a context",
    ],
    [
      () => withPort(ctx, undefined as unknown as MessagePort),
      "withPort: expected a MessagePort, got undefined: name the port in the " +
      "message and in the transfer list, as in postMessage({ port }, [port])",
    ],
    [() => withPort(ctx, port, { values: twice }), "withPort: two keys"],
    [
      () => withPort(ctx, port, { values: ["user" as never] }),
      '"user" is not a key of a context',
    ],
  ];
  for (const [call, message] of table) assertThrows(call, TypeError, message);
  assertEquals(snapshot(ctx).afterFuncs, 1);
  withPort(ctx, port).cancel();
  await released(ctx);
});

Deno.test("withPort() of a port that belongs to another context throws a TypeError", async () => {
  using ctx = withCancel(background());
  const port = contextPort(ctx);
  const follower = withPort(ctx, port);
  assertThrows(
    () => withPort(ctx, port),
    TypeError,
    "withPort: the port belongs to another context",
  );
  follower.cancel();
  await released(ctx);
  assertThrows(() => withPort(ctx, port), TypeError);
});

Deno.test("withPort() reads as the calls that made it", async () => {
  using parent = withCancel(background());
  const port = contextPort(background());
  using follower = withPort(parent, port, { values: [userKey] });
  assertEquals(
    String(follower),
    "background.withCancel.withValue(user).withPort",
  );
  assertEquals(Object.keys(follower), []);
  await held(follower.ready);
});
