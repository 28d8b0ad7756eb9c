// The usual mistakes, for every exported function: the message names the function
// that was called, says what is wrong with the given value, and what to do.

import { assert, assertEquals, assertMatch } from "@std/assert";
import * as contexts from "@curfew/context/context";
import { background, type Context, createKey } from "@curfew/context/context";
import * as servers from "@curfew/context/net";

const never = new Promise<never>(() => {});
const key = createKey<number>("key");
const ignore = () => {};
const local = { hostname: "127.0.0.1", port: 0 };

/** Calls each function that takes a context first, with the rest in order. */
const takeContext: { [name: string]: (ctx: Context) => unknown } = {
  afterFunc: (ctx) => contexts.afterFunc(ctx, ignore),
  cause: contexts.cause,
  closeOnDone: (ctx) => servers.closeOnDone(ctx, { close: ignore }),
  contextPort: (ctx) => contexts.contextPort(ctx),
  dialTcp: (ctx) => servers.dialTcp(ctx, local),
  draining: contexts.draining,
  every: (ctx) => contexts.every(ctx, 1_000),
  group: (ctx) => contexts.group(ctx),
  isCanceled: (ctx) => contexts.isCanceled(ctx, new Error("other")),
  notifyContext: (ctx) => contexts.notifyContext(ctx, "SIGTERM"),
  orDone: (ctx) => contexts.orDone(ctx, never),
  remaining: contexts.remaining,
  requestInit: contexts.requestInit,
  retry: (ctx) => contexts.retry(ctx, ignore),
  serveHttp: (ctx) => servers.serveHttp(ctx, local, () => new Response()),
  serveTcp: (ctx) => servers.serveTcp(ctx, local, ignore),
  serveUdp: (ctx) => servers.serveUdp(ctx, local, ignore),
  sleep: (ctx) => contexts.sleep(ctx, 1_000),
  snapshot: contexts.snapshot,
  udpPeers: (ctx) => servers.udpPeers(ctx, local, ignore),
  udpRead: (ctx) =>
    servers.udpRead(ctx, {} as unknown as Deno.DatagramConn, ignore),
  untilDone: (ctx) => contexts.untilDone(ctx, []),
  withCancel: contexts.withCancel,
  withDeadline: (ctx) => contexts.withDeadline(ctx, Date.now() + 1_000),
  withGrace: (ctx) => contexts.withGrace(ctx, 1_000),
  withPort(ctx) {
    const { port1, port2 } = new MessageChannel();
    try {
      return contexts.withPort(ctx, port1);
    } finally {
      port1.close();
      port2.close();
    }
  },
  withSignal: (ctx) => contexts.withSignal(ctx, new AbortController().signal),
  withTimeout: (ctx) => contexts.withTimeout(ctx, 1_000),
  withValue: (ctx) => contexts.withValue(ctx, key, 1),
  withoutCancel: contexts.withoutCancel,
};

/** The functions that take something else first. */
const takeNone = [
  ...["background", "todo", "createKey", "main", "singleFlight"],
  ...["healthRoutes", "requestContext", "upgradeWebSocket"],
];

/** Things given instead of a context, and what the message says of them. */
const given: [what: string, value: unknown, message: RegExp][] = [
  [
    "an AbortSignal",
    new AbortController().signal,
    /AbortSignal.*withSignal\(background\(\), signal\)/,
  ],
  [
    "an AbortController",
    new AbortController(),
    /AbortController.*withSignal\(background\(\), controller\.signal\)/,
  ],
  ["undefined", undefined, /undefined.*background\(\)/],
  ["null", null, /null.*background\(\)/],
  ["a function", () => background(), /function.*call it/],
  ["a bag with a signal", { signal: AbortSignal.abort() }, /object/],
  ["a number", 5, /number/],
  ["a string", "ctx", /string/],
];

/** The error that `f` throws or its promise rejects with. */
async function errorOf(f: () => unknown): Promise<Error> {
  try {
    await f();
  } catch (error) {
    assert(error instanceof Error);
    return error;
  }
  throw new Error("no error");
}

Deno.test("the table has every exported function", () => {
  const exported = Object.entries({ ...contexts, ...servers })
    .filter(([, value]) =>
      typeof value === "function" &&
      !Function.prototype.toString.call(value).startsWith("class")
    )
    .map(([name]) => name);
  const known = [...Object.keys(takeContext), ...takeNone];
  assertEquals(exported.toSorted(), known.toSorted());
});

for (const [name, call] of Object.entries(takeContext)) {
  Deno.test(`${name}() says what to do if it is not given a context`, async () => {
    for (const [what, value, message] of given) {
      const error = await errorOf(() => call(value as Context));
      assertEquals(error.name, "TypeError", what);
      assertMatch(
        error.message,
        new RegExp(`^${name}: expected a context, got `),
      );
      assertMatch(error.message, message);
    }
  });
}

Deno.test("WaitGroup.wait() says what to do if it is not given a context", async () => {
  for (const [, value, message] of given) {
    if (value === undefined) continue;
    const group = new contexts.WaitGroup();
    const error = await errorOf(() => group.wait(value as Context));
    assertEquals(error.name, "TypeError");
    assertMatch(error.message, /^WaitGroup\.wait: expected a context, got /);
    assertMatch(error.message, message);
  }
});

const root = background();
// deno-lint-ignore no-explicit-any
const wrong = (value: unknown): any => value;

/** Other usual mistakes. */
const mistakes: [call: string, f: () => unknown, message: RegExp][] = [
  [
    "afterFunc(ctx, promise)",
    () => contexts.afterFunc(root, wrong(never)),
    /^afterFunc: expected a function, got /,
  ],
  [
    "orDone(ctx, f)",
    () => contexts.orDone(root, wrong(() => never)),
    /^orDone: expected a promise, got a function.*call it/,
  ],
  [
    'sleep(ctx, "5")',
    () => contexts.sleep(root, wrong("5")),
    /^sleep: expected milliseconds.*, got "5"/,
  ],
  [
    "sleep(ctx)",
    () => contexts.sleep(root, wrong(undefined)),
    /^sleep: expected milliseconds.*, got undefined/,
  ],
  [
    "sleep(ctx, NaN)",
    () => contexts.sleep(root, NaN),
    /^sleep: expected milliseconds.*, got NaN/,
  ],
  [
    'withTimeout(ctx, "500")',
    () => contexts.withTimeout(root, wrong("500")),
    /^withTimeout: expected milliseconds.*, got "500"/,
  ],
  [
    "withTimeout(ctx, NaN)",
    () => contexts.withTimeout(root, NaN),
    /^withTimeout: expected milliseconds.*, got NaN/,
  ],
  [
    "withTimeout(ctx)",
    () => contexts.withTimeout(root, wrong(undefined)),
    /^withTimeout: expected milliseconds.*, got undefined/,
  ],
  [
    'withDeadline(ctx, "2026")',
    () => contexts.withDeadline(root, wrong("2026")),
    /^withDeadline: expected .*Date.*, got /,
  ],
  [
    'withDeadline(ctx, new Date("?"))',
    () => contexts.withDeadline(root, new Date("?")),
    /^withDeadline: .*Date/,
  ],
  [
    "withDeadline(ctx, NaN)",
    () => contexts.withDeadline(root, NaN),
    /^withDeadline: expected .*, got NaN/,
  ],
  [
    "withGrace(ctx, -1)",
    () => contexts.withGrace(root, -1),
    /^withGrace: expected milliseconds >= 0, got -1/,
  ],
  [
    "every(ctx, 0)",
    () => contexts.every(root, 0),
    /^every: expected milliseconds > 0, got 0/,
  ],
  [
    "every(ctx)",
    () => contexts.every(root, wrong(undefined)),
    /^every: expected milliseconds > 0, got undefined/,
  ],
  [
    'every(ctx, "5")',
    () => contexts.every(root, wrong("5")),
    /^every: expected milliseconds > 0, got "5"/,
  ],
  [
    'retry(ctx, f, { attempts: "5" })',
    () => contexts.retry(root, ignore, { attempts: wrong("5") }),
    /^retry: expected attempts .*, got "5"/,
  ],
  [
    'group(ctx, { limit: "5" })',
    () => contexts.group(root, { limit: wrong("5") }),
    /^group: expected limit .*, got "5"/,
  ],
  [
    'new WaitGroup().add("5")',
    () => new contexts.WaitGroup().add(wrong("5")),
    /^WaitGroup\.add: expected an integer, got "5"/,
  ],
  [
    'main(f, { grace: "5" })',
    () => contexts.main(ignore, { grace: wrong("5") }),
    /^main: expected grace .* ms >= 0, got "5"/,
  ],
  [
    "main(null)",
    () => contexts.main(wrong(null)),
    /^main: expected a function, got null/,
  ],
  [
    "retry(ctx, f, { backoff: { first: 5n } })",
    () => contexts.retry(root, ignore, { backoff: { first: wrong(5n) } }),
    /^retry: expected backoff\.first .*, got 5n/,
  ],
  [
    "retry(ctx, f, { attempts: Symbol() })",
    () => contexts.retry(root, ignore, { attempts: wrong(Symbol()) }),
    /^retry: expected attempts .*, got Symbol\(\)/,
  ],
  [
    "retry(ctx, f, { attemptTimeout: Symbol() })",
    () => contexts.retry(root, ignore, { attemptTimeout: wrong(Symbol()) }),
    /^retry: expected attemptTimeout .*, got Symbol\(\)/,
  ],
  [
    "retry(ctx, f, { backoff: 100 })",
    () => contexts.retry(root, ignore, { backoff: wrong(100) }),
    /^retry: backoff: expected an object with options, got 100/,
  ],
  [
    "contextPort(ctx, { values: key })",
    () => contexts.contextPort(root, { values: wrong(key) }),
    /^contextPort: expected values to be an array of keys, got object/,
  ],
  [
    "contextPort(ctx, { values: new Set([key]) })",
    () => contexts.contextPort(root, { values: wrong(new Set([key])) }),
    /^contextPort: expected values to be an array of keys, got object/,
  ],
  [
    "withTimeout(ctx, ms, error)",
    () => contexts.withTimeout(root, 500, new Error("too slow")),
    /^withTimeout: expected .* options, got an Error: pass \{ cause: error \}/,
  ],
  [
    "withDeadline(ctx, at, error)",
    () => contexts.withDeadline(root, Infinity, new Error("too slow")),
    /^withDeadline: expected .* options, got an Error: pass \{ cause: error \}/,
  ],
  [
    "withSignal(ctx, controller)",
    () => contexts.withSignal(root, wrong(new AbortController())),
    /^withSignal: .*AbortSignal.*AbortController.*controller\.signal/,
  ],
  [
    "withSignal(ctx, ctx)",
    () => contexts.withSignal(root, wrong(root)),
    /^withSignal: .*AbortSignal.*context.*ctx\.signal/,
  ],
  [
    'withValue(ctx, "user", 1)',
    () => contexts.withValue(root, wrong("user"), 1),
    /^withValue: "user" is not a key.*createKey/,
  ],
  [
    'ctx.value("user")',
    () => root.value(wrong("user")),
    /^value: "user" is not a key.*createKey/,
  ],
  [
    "withPort(ctx, message)",
    () => contexts.withPort(root, wrong({})),
    /^withPort: expected a MessagePort/,
  ],
  [
    "createKey()",
    () => createKey(wrong(undefined)),
    /^createKey: expected a string.*, got undefined/,
  ],
  [
    "untilDone(ctx, promise)",
    () => contexts.untilDone(root, wrong(never)),
    /^untilDone: expected something that can be iterated/,
  ],
  [
    "retry(ctx, promise)",
    () => contexts.retry(root, wrong(never)),
    /^retry: expected .*function/,
  ],
  [
    "singleFlight(promise)",
    () => contexts.singleFlight(wrong(never)),
    /^singleFlight: expected .*function/,
  ],
  [
    "group(ctx).go(promise)",
    // deno-lint-ignore curfew/floating-group
    () => contexts.group(root).go(wrong(never)),
    /^[Gg]roup(\.go)?: .*function/,
  ],
  [
    "new WaitGroup().go(promise)",
    () => new contexts.WaitGroup().go(wrong(never)),
    /^WaitGroup\.go: expected a function/,
  ],
  ["main(promise)", () => contexts.main(wrong(never)), /^main: .*function/],
  [
    "serveHttp(ctx, handler)",
    () =>
      servers.serveHttp(root, wrong(() => new Response()), wrong(undefined)),
    /^serveHttp: expected an object with options, got function$/,
  ],
  [
    "serveHttp(ctx, options)",
    () => servers.serveHttp(root, local, wrong(undefined)),
    /^serveHttp: .*third argument.*function/,
  ],
  [
    "dialTcp(ctx, {})",
    () => servers.dialTcp(root, wrong({})),
    /^dialTcp: port must be a number, got undefined$/,
  ],
  [
    "serveTcp(ctx, {}, handler)",
    () => servers.serveTcp(root, wrong({}), ignore),
    /^serveTcp: port must be a number, got undefined; 0 takes a free port$/,
  ],
  [
    "serveTcp(ctx, options)",
    () => servers.serveTcp(root, local, wrong(undefined)),
    /^serveTcp: .*third argument.*function/,
  ],
  [
    "serveUdp(ctx, options)",
    () => servers.serveUdp(root, local, wrong(undefined)),
    /^serveUdp: .*third argument.*function/,
  ],
  [
    "udpPeers(ctx, options)",
    () => servers.udpPeers(root, local, wrong(undefined)),
    /^udpPeers: .*third argument.*function/,
  ],
  [
    "closeOnDone(ctx, f)",
    () => servers.closeOnDone(root, wrong(ignore)),
    /^closeOnDone: .*close\(\)/,
  ],
  [
    "requestContext(request)",
    () => servers.requestContext(new Request("http://backend/")),
    /^requestContext: expected the request/,
  ],
];

for (const [call, f, message] of mistakes) {
  Deno.test(`${call} says what to do`, async () => {
    const error = await errorOf(f);
    assertMatch(error.message, message);
    assertMatch(error.name, /^(Type|Range)Error$/);
  });
}

/** Calls each function that takes options last. */
const takeOptions: { [name: string]: (options: unknown) => unknown } = {
  contextPort: (options) => contexts.contextPort(root, wrong(options)),
  group: (options) => contexts.group(root, wrong(options)),
  main: (options) => contexts.main(ignore, wrong(options)),
  orDone: (options) => contexts.orDone(root, never, wrong(options)),
  requestInit: (options) => contexts.requestInit(root, {}, wrong(options)),
  retry: (options) => contexts.retry(root, ignore, wrong(options)),
  singleFlight: (options) => contexts.singleFlight(ignore, wrong(options)),
  withDeadline: (options) => contexts.withDeadline(root, 0, wrong(options)),
  withPort(options) {
    const { port1, port2 } = new MessageChannel();
    try {
      return contexts.withPort(root, port1, wrong(options));
    } finally {
      port1.close();
      port2.close();
    }
  },
  withTimeout: (options) => contexts.withTimeout(root, 0, wrong(options)),
};

for (const [name, call] of Object.entries(takeOptions)) {
  Deno.test(`${name}() says that its options must be an object`, async () => {
    for (const given of [3, "late", null, ignore]) {
      const error = await errorOf(() => call(given));
      assertEquals(error.name, "TypeError");
      const type = typeof given === "function"
        ? "function"
        : JSON.stringify(given);
      assertEquals(
        error.message,
        `${name}: expected an object with options, got ${type}`,
      );
    }
  });
}

Deno.test("orDone() does not call a function that it is given", async () => {
  let calls = 0;
  await errorOf(() => contexts.orDone(root, wrong(() => calls++)));
  assertEquals(calls, 0);
});
