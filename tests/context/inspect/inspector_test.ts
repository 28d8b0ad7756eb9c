import { assert, assertEquals, assertRejects, assertThrows } from "@std/assert";
import { FakeTime } from "@std/testing/time";
import {
  afterFunc,
  background,
  createKey,
  draining,
  group,
  serveHttp,
  serveTcp,
  sleep,
  udpPeers,
  withCancel,
  withGrace,
  withoutCancel,
  withSignal,
  withTimeout,
  withValue,
} from "@curfew/context";
import {
  inspect,
  type InspectEvent,
  type InspectOptions,
  type LiveContext,
} from "@curfew/context/inspect";

import { observer } from "../../../context/tree_observer.ts";
import { IdleTimer } from "../../../net/idle_timer.ts";

const here = { hostname: "127.0.0.1", port: 0 };

/** Names, or labels, of a tree, as nested lists. */
function shape(contexts: readonly LiveContext[]): unknown[] {
  return contexts.flatMap(({ name, label, children }) =>
    children.length === 0 ? [name ?? label] : [name ?? label, shape(children)]
  );
}

Deno.test("tree() nests contexts, with ages, time left and the names of values", () => {
  using time = new FakeTime();
  using inspector = inspect();
  const user = createKey<string>("user");
  using ctx = withCancel(withValue(background(), user, "secret"));
  time.tick(2_000);
  using _step = withTimeout(ctx, 5_000);
  time.tick(1_000);
  const tree = inspector.tree();
  assertEquals(tree, {
    open: 2,
    kinds: { context: 2 },
    children: [{
      id: 0,
      label: "withCancel",
      kind: "context",
      age: 3_000,
      values: ["user"],
      waits: 0,
      children: [{
        id: 1,
        label: "withDeadline",
        kind: "context",
        age: 1_000,
        left: 4_000,
        values: [],
        waits: 0,
        children: [],
      }],
    }],
  });
  assert(!JSON.stringify(tree).includes("secret"));
});

Deno.test("tree() shows sleeps with the time they have left, and counts other waits", () => {
  using time = new FakeTime();
  using inspector = inspect();
  using ctx = withCancel(background());
  sleep(ctx, 3_200).catch(() => {});
  sleep(ctx, Infinity).catch(() => {});
  sleep(background(), 2_000);
  afterFunc(ctx, () => {});
  time.tick(2_000);
  const { children, kinds } = inspector.tree();
  assertEquals(shape(children), [
    "withCancel",
    ["sleep 1,200 ms left", "sleep until its context is done"],
  ]);
  assertEquals(children[0]!.waits, 1);
  assertEquals(kinds, { context: 1, sleep: 2 });
});

Deno.test("tree() shows what is made before the inspector as far as it is known", () => {
  using outer = withCancel(background());
  using inner = withTimeout(outer, 60_000);
  using unrelated = withCancel(background());
  using inspector = inspect();
  assertEquals(inspector.tree().open, 0);
  using _child = withCancel(inner);
  const [top] = inspector.tree().children;
  assertEquals(top!.age, undefined);
  assertEquals(shape([top!]), [
    "withCancel",
    ["withDeadline", ["withCancel"]],
  ]);
  assert(unrelated.err === undefined);
});

Deno.test("tree() shows what was made from a context under it, though it ends apart", () => {
  using inspector = inspect();
  const parent = withCancel(background());
  using _detached = withTimeout(withoutCancel(parent), 60_000);
  using _grace = withGrace(parent, 1_000);
  assertEquals(shape(inspector.tree().children), [
    "withCancel",
    ["withDeadline", "withGrace(1000ms)"],
  ]);
  parent.cancel(new Error("stop"));
  const [top] = inspector.tree().children;
  assertEquals(top!.ended, ["Error: stop"]);
  assertEquals(top!.children.length, 2);
});

Deno.test("tree() shows requests, connections, peers and tasks under their servers", async () => {
  using inspector = inspect();
  const release = Promise.withResolvers<void>();
  const arrived = [0, 1, 2].map(() => Promise.withResolvers<void>());
  await using http = serveHttp(background(), here, async (ctx) => {
    await using tasks = group(ctx);
    tasks.go(async function askBackend() {
      arrived[0]!.resolve();
      await release.promise;
    });
    await tasks.wait();
    return new Response();
  });
  await using tcp = serveTcp(background(), here, async () => {
    arrived[1]!.resolve();
    await release.promise;
  });
  await using udp = udpPeers(background(), here, async () => {
    arrived[2]!.resolve();
    await release.promise;
  });
  const port = http.addr.port;
  const reply = fetch(`http://127.0.0.1:${port}/price?of=tea`);
  const conn = await Deno.connect({
    hostname: "127.0.0.1",
    port: tcp.addr.port,
  });
  const socket = Deno.listenDatagram({ transport: "udp", ...here });
  await socket.send(new Uint8Array(1), udp.addr);
  await Promise.all(arrived.map(({ promise }) => promise));
  const { children, kinds } = inspector.tree();
  const connAddr = conn.localAddr as Deno.NetAddr;
  const peerAddr = socket.addr as Deno.NetAddr;
  assertEquals(shape(children), [
    `serveHttp 127.0.0.1:${port}`,
    ["GET /price", ["group with askBackend", ["askBackend"]]],
    `serveTcp 127.0.0.1:${tcp.addr.port}`,
    [`TCP 127.0.0.1:${connAddr.port}`],
    `udpPeers 127.0.0.1:${udp.addr.port}`,
    [`UDP 127.0.0.1:${peerAddr.port}`],
  ]);
  assertEquals(
    { request: 1, group: 1, task: 1, connection: 1, peer: 1, server: 3 },
    { ...kinds },
  );
  release.resolve();
  await (await reply).body?.cancel();
  conn.close();
  socket.close();
});

Deno.test("tree() shows a task until it ends, even if its group has ended", async () => {
  using inspector = inspect();
  const release = Promise.withResolvers<void>();
  const tasks = group(background());
  tasks.go(function askBackend() {
    return release.promise;
  });
  using _other = withCancel(tasks.ctx);
  using ctx = withCancel(background());
  const done = assertRejects(() => {
    const failing = group(ctx);
    failing.go(function stalled() {
      return release.promise;
    });
    failing.go(() => Promise.reject(new Error("no disk")));
    return failing.wait();
  });
  await Promise.resolve();
  await Promise.resolve();
  assertEquals(shape(inspector.tree().children), [
    "group with askBackend",
    ["withCancel", "askBackend"],
    "withCancel",
    ["group with stalled", ["stalled"]],
  ]);
  release.resolve();
  await done;
  await tasks.wait();
  assertEquals(inspector.tree().kinds, { context: 1 });
});

Deno.test("recent() shows the tasks that have ended, and how they failed", async () => {
  using inspector = inspect();
  const tasks = group(background());
  tasks.go(async function succeed() {});
  await assertRejects(() =>
    tasks.run(function fail() {
      return Promise.reject(new Error("no disk"));
    })
  );
  await assertRejects(() => tasks.wait());
  const ends = inspector.recent().filter(({ kind }) => kind === "task");
  assertEquals(
    ends.map(({ name, causes }) => [name, ...causes]).toSorted(),
    [["fail", "Error: no disk"], ["succeed"]],
  );
});

Deno.test("tree() shows why a server drains, and what it still waits for", async () => {
  using inspector = inspect();
  const ctx = withCancel(background());
  const arrived = Promise.withResolvers<void>();
  const release = Promise.withResolvers<void>();
  const server = serveHttp(ctx, here, async (ctx) => {
    arrived.resolve();
    await draining(ctx).done;
    await release.promise;
    return new Response();
  });
  const reply = fetch(`http://127.0.0.1:${server.addr.port}/slow`);
  await arrived.promise;
  const { id } = inspector.tree().children[0]!.children[0]!;
  ctx.cancel(new Error("SIGTERM received"));
  const [top] = inspector.tree().children;
  const [shown] = top!.children;
  assertEquals(shown!.id, id);
  assertEquals(shown!.name, `serveHttp 127.0.0.1:${server.addr.port}`);
  assertEquals(shown!.ended, ["Error: SIGTERM received"]);
  assertEquals(shown!.children.map(({ name }) => name), ["GET /slow"]);
  release.resolve();
  await (await reply).body?.cancel();
  await server.finished;
  assertEquals(inspector.tree().open, 0);
});

Deno.test("tree() leaves out what exceeds its limits, and counts it by place", () => {
  using time = new FakeTime();
  using inspector = inspect({ stacks: true });
  using ctx = withCancel(background());
  const many = Array.from({ length: 10 }, () => withTimeout(ctx, 60_000));
  time.tick(50);
  using _below = withCancel(many[9]!);
  const { children, open } = inspector.tree({ children: 3 });
  assertEquals(open, 12);
  assertEquals(children[0]!.children.length, 3);
  const [more] = children[0]!.more!;
  assertEquals(children[0]!.more!.length, 1);
  assertEquals({ count: more!.count, oldest: more!.oldest }, {
    count: 7,
    oldest: 50,
  });
  assert(/^withTimeout at .*inspector_test\.ts:\d+:\d+$/.test(more!.what));
  assertEquals(inspector.tree({ contexts: 2 }).children[0]!.children.length, 1);
  assertEquals(inspector.tree({ depth: 1 }).children[0]!.children.length, 0);
});

Deno.test("tree() copes with a chain of 20,000 contexts", () => {
  using inspector = inspect();
  using top = withCancel(background());
  let ctx = top;
  for (let i = 1; i < 20_000; i++) ctx = withCancel(ctx);
  assertEquals(inspector.tree().open, 20_000);
  assertEquals(inspector.suspects({ olderThan: 0 }).open[0]!.count, 1);
});

Deno.test("recent() tells when, after how long and why contexts ended, the latest first", () => {
  using time = new FakeTime(1_000_000);
  using inspector = inspect({ stacks: true });
  const ctx = withCancel(background());
  withCancel(ctx);
  withCancel(ctx);
  time.tick(250);
  ctx.cancel(new Error("too slow", { cause: "the disk" }));
  using _late = withTimeout(background(), 1_000);
  time.tick(1_000);
  const [late, early] = inspector.recent();
  assertEquals([late!.err, late!.age, late!.causes], [
    "TimeoutError",
    1_000,
    [],
  ]);
  assertEquals(late!.endedAt, 1_001_250);
  assertEquals([early!.err, early!.age], ["AbortError", 250]);
  assertEquals(early!.causes, ["Error: too slow", "the disk"]);
  assertEquals(early!.others, 2);
  assert(/inspector_test\.ts:\d+:\d+$/.test(early!.endedBy!));
});

Deno.test("recent() keeps half of its places for those that ended for a reason", () => {
  using inspector = inspect({ recent: 4 });
  for (let i = 0; i < 5; i++) withCancel(background()).cancel(`reason ${i}`);
  for (let i = 0; i < 5; i++) withCancel(background()).cancel();
  assertEquals(inspector.recent().map(({ id, causes }) => [id, ...causes]), [
    [9],
    [8],
    [4, "reason 4"],
    [3, "reason 3"],
  ]);
});

Deno.test("recent() shows a cause that cannot be read, and cuts a long one", () => {
  using inspector = inspect();
  withCancel(background()).cancel("x".repeat(10_000));
  withCancel(background()).cancel(Object.create(null));
  const endless = new Error("again");
  endless.cause = endless;
  withCancel(background()).cancel(endless);
  assertEquals(inspector.recent().map(({ causes }) => causes.join()), [
    "Error: again,".repeat(8).slice(0, -1),
    "a value that cannot be read",
    "x".repeat(500),
  ]);
});

const { proxy: revoked, revoke } = Proxy.revocable({}, {});
revoke();
const throwing = Object.defineProperty(new Error("bad disk"), "cause", {
  get() {
    throw new Error("no cause for you");
  },
});

const hostile: [what: string, cause: unknown, text: string][] = [
  ["a revoked proxy", revoked, "a value that cannot be read"],
  ["an error whose cause throws", throwing, "Error: bad disk"],
];
for (const [what, cause, text] of hostile) {
  Deno.test(`inspect() reads ${what} as a cause, in recent(), tree() and its events`, async () => {
    using inspector = inspect();
    const events = inspector[Symbol.asyncIterator]();
    const ctx = withCancel(background());
    using child = withCancel(withoutCancel(ctx));
    ctx.cancel(cause);
    assertEquals(inspector.recent()[0]!.causes, [text]);
    assertEquals(inspector.tree().children[0]!.ended, [text]);
    child.cancel();
    await events.next();
    await events.next();
    const { value } = await events.next();
    assertEquals(value.context.causes, [text]);
  });
}

for (
  const [what, prepare] of [
    ["makes no text", (_: Error, sites: unknown[]) => sites],
    ["throws", () => {
      throw new Error("no stack for you");
    }],
  ] as const
) {
  Deno.test(`tree() shows no line if Error.prepareStackTrace ${what}`, () => {
    using stack = new DisposableStack();
    stack.defer(() => Reflect.deleteProperty(Error, "prepareStackTrace"));
    using inspector = inspect({ stacks: true });
    using _ctx = withCancel(background());
    Object.assign(Error, { prepareStackTrace: prepare });
    const [top] = inspector.tree().children;
    assertEquals([top!.label, top!.site], ["withCancel", undefined]);
  });
}

Deno.test("suspects() names the line that leaked a thousand contexts", () => {
  using time = new FakeTime();
  using inspector = inspect({ stacks: true });
  using ctx = withCancel(background());
  for (let i = 0; i < 1_000; i++) withTimeout(ctx, 600_000 + i);
  time.tick(61_000);
  using _young = withCancel(ctx);
  const { open } = inspector.suspects();
  assertEquals(open.length, 1);
  assertEquals([open[0]!.what, open[0]!.count, open[0]!.oldest], [
    "withTimeout",
    1_000,
    61_000,
  ]);
  assert(/inspector_test\.ts:\d+:\d+$/.test(open[0]!.site!));
});

Deno.test("suspects() names none when every context is ended", () => {
  using time = new FakeTime();
  using inspector = inspect({ stacks: true });
  using ctx = withCancel(background());
  for (let i = 0; i < 1_000; i++) {
    using step = withTimeout(ctx, 600_000);
    void step.signal;
  }
  time.tick(61_000);
  using _used = withCancel(ctx);
  assertEquals(inspector.suspects(), { open: [], dropped: [] });
});

Deno.test("suspects() leaves out servers, groups and tasks", async () => {
  using inspector = inspect();
  await using _server = serveHttp(background(), here, () => new Response());
  await using tasks = group(background());
  tasks.go((ctx) => ctx.done);
  assertEquals(inspector.suspects({ olderThan: 0 }).open, []);
});

Deno.test("inspect() iterates over events, in words", async () => {
  const inspector = inspect();
  const events: InspectEvent[] = [];
  const reading = (async () => {
    for await (const event of inspector) events.push(event);
  })();
  withTimeout(background(), 1_000).cancel("enough");
  await Promise.resolve();
  inspector[Symbol.dispose]();
  await reading;
  assertEquals(
    events.map((event) =>
      event.type === "ended"
        ? [event.type, event.context.id, ...event.context.causes]
        : [event.type, event.type === "created" && event.id]
    ),
    [["created", 0], ["ended", 0, "enough"]],
  );
});

Deno.test("inspect() drops events of a slow reader, and counts them", async () => {
  using inspector = inspect();
  const events = inspector[Symbol.asyncIterator]();
  for (let i = 0; i < 1_007; i++) withCancel(background());
  for (let i = 0; i < 1_000; i++) await events.next();
  assertEquals(await events.next(), {
    done: false,
    value: { type: "lost", count: 7 },
  });
  const pending = events.next();
  withCancel(background());
  assertEquals((await pending).value?.type, "created");
  await events.return!();
  assertEquals((await events.next()).done, true);
});

Deno.test("inspect() records nothing once it is disposed of", () => {
  const inspector = inspect();
  inspector[Symbol.dispose]();
  using _ctx = withCancel(background());
  assertEquals(inspector.tree().open, 0);
});

Deno.test("inspect() ends an iteration that begins once it is disposed of", async () => {
  const inspector = inspect();
  inspector[Symbol.dispose]();
  const events = inspector[Symbol.asyncIterator]();
  assertEquals(await events.next(), { done: true, value: undefined });
});

for (const stacks of [-1, 1.5, NaN]) {
  Deno.test(`inspect() refuses ${stacks} as a share of stacks`, () => {
    assertThrows(
      () => inspect({ stacks }),
      RangeError,
      "inspect: expected stacks to be",
    );
  });
}

Deno.test("inspect() refuses -1 as a number of ended contexts, and suspects() as an age", () => {
  assertThrows(() => inspect({ recent: -1 }), RangeError, "inspect: expected");
  using inspector = inspect();
  assertThrows(
    () => inspector.suspects({ olderThan: -1 }),
    RangeError,
    "suspects: expected olderThan",
  );
});

Deno.test("inspect() refuses a number as options", () => {
  assertThrows(
    () => inspect(5 as InspectOptions),
    TypeError,
    "inspect: expected an object with options, got 5",
  );
});

Deno.test("two inspectors record the same contexts, each with its own numbers", () => {
  using first = inspect();
  using _older = withCancel(background());
  using second = inspect();
  using _newer = withCancel(background());
  assertEquals(first.tree().children.map(({ id }) => id), [0, 1]);
  assertEquals(second.tree().children.map(({ id }) => id), [0]);
});

Deno.test("suspects() lists the most first, then the oldest, from the given age on", () => {
  using time = new FakeTime();
  using inspector = inspect();
  using _parent = withCancel(background());
  using _oldest = withGrace(_parent, 1_000);
  time.tick(1);
  using _old = withTimeout(_parent, 600_000);
  time.tick(1);
  using _one = withSignal(_parent);
  using _two = withSignal(_parent);
  time.tick(100);
  using _young = withCancel(_parent);
  assertEquals(inspector.suspects({ olderThan: 100 }).open, [
    { what: "withSignal", count: 2, oldest: 100 },
    { what: "withGrace(1000ms)", count: 1, oldest: 102 },
    { what: "withDeadline", count: 1, oldest: 101 },
  ]);
});

Deno.test("tree() and recent() leave out the timers of servers", async () => {
  using inspector = inspect();
  const server = serveTcp(background(), here, () => {});
  await server.shutdown({ grace: 1_000 });
  const conn = new IdleTimer(60_000, () => {});
  assertEquals(inspector.tree().open, 0);
  conn.stop();
  assertEquals(inspector.recent().map(({ kind }) => kind), ["server"]);
});

Deno.test("tree() lists down to the given depth", () => {
  using inspector = inspect();
  using top = withCancel(background());
  using middle = withCancel(top);
  using _bottom = withCancel(middle);
  assertEquals(shape(inspector.tree({ depth: 2 }).children), [
    "withCancel",
    ["withCancel"],
  ]);
});

Deno.test("tree() lists contexts that are older than the inspector first", () => {
  using older = withTimeout(background(), 60_000);
  using inspector = inspect();
  using _newer = withCancel(background());
  using _child = withSignal(older);
  assertEquals(shape(inspector.tree().children), [
    "withDeadline",
    ["withSignal"],
    "withCancel",
  ]);
});

Deno.test("tree() lists a context once from which a detached one was made", () => {
  using inspector = inspect();
  using top = withCancel(background());
  using middle = withTimeout(top, 60_000);
  using _detached = withSignal(withoutCancel(middle));
  const { open, children } = inspector.tree();
  assertEquals(open, 3);
  assertEquals(shape(children), [
    "withCancel",
    ["withDeadline", ["withSignal"]],
  ]);
});

Deno.test("tree() and suspects() cope with a description that throws", () => {
  using inspector = inspect();
  using ctx = withCancel(background());
  observer!.described(ctx, "request", () => {
    throw new Error("no description");
  });
  assertEquals(shape(inspector.tree().children), [
    "request without a description",
  ]);
  assertEquals(inspector.suspects({ olderThan: 0 }).open[0]!.count, 1);
});

Deno.test("suspects() tells the age of the oldest context of a place", () => {
  using time = new FakeTime();
  using inspector = inspect();
  const ctxs = [withCancel(background())];
  time.tick(5);
  ctxs.push(withCancel(background()));
  time.tick(100);
  assertEquals(inspector.suspects({ olderThan: 100 }).open, [
    { what: "withCancel", count: 2, oldest: 105 },
  ]);
  for (const ctx of ctxs) ctx.cancel();
});

Deno.test("suspects() leaves out a context that has ended, from which a sleep was made", async () => {
  using time = new FakeTime();
  using inspector = inspect();
  const ctx = withCancel(background());
  const asleep = sleep(withoutCancel(ctx), 1_000);
  ctx.cancel();
  assertEquals(inspector.tree().children[0]!.children.length, 1);
  assertEquals(inspector.suspects({ olderThan: 0 }).open, []);
  time.tick(1_000);
  await asleep;
});

Deno.test("tree() gives contexts of one server the number of the first", () => {
  using inspector = inspect();
  const first = withCancel(background());
  using second = withCancel(background());
  const describe = () => "server";
  observer!.described(first, "server", describe);
  observer!.described(second, "server", describe);
  first.cancel();
  assertEquals(inspector.tree().children.map(({ id }) => id), [0]);
});

Deno.test("inspect() keeps the stacks of a share of the contexts", () => {
  using inspector = inspect({ stacks: 0.5 });
  const { random } = Math;
  using restoring = new DisposableStack();
  restoring.defer(() => Math.random = random);
  Math.random = () => 0.49;
  using _sampled = withCancel(background());
  Math.random = () => 0.5;
  using _other = withCancel(background());
  assertEquals(
    inspector.tree().children.map(({ site }) => site !== undefined),
    [true, false],
  );
});

Deno.test("inspect() keeps no ended contexts with room for none", () => {
  using inspector = inspect({ recent: 0 });
  withCancel(background()).cancel("enough");
  withCancel(background()).cancel();
  assertEquals(inspector.recent(), []);
});

Deno.test("inspect() sends nothing to an iteration that has been left", async () => {
  using inspector = inspect();
  const events = inspector[Symbol.asyncIterator]();
  for (let i = 0; i < 1_001; i++) withCancel(background());
  const end = { done: true, value: undefined } as const;
  assertEquals(await events.return!(), end);
  using _late = withCancel(background());
  assertEquals(await events.next(), end);
});

Deno.test("inspect() sends events that have waited as they were", async () => {
  using inspector = inspect();
  const events = inspector[Symbol.asyncIterator]();
  withCancel(background()).cancel("enough");
  // Reading ages what is young, as the timer does.
  const [context] = inspector.recent();
  assertEquals((await events.next()).value, {
    type: "created",
    id: 0,
    label: "withCancel",
    kind: "context",
  });
  assertEquals((await events.next()).value, { type: "ended", context });
});
