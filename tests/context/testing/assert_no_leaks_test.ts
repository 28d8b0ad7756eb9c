import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { assert, assertEquals, assertRejects } from "@std/assert";
import {
  afterFunc,
  background,
  type CancelableContext,
  type Context,
  draining,
  every,
  group,
  orDone,
  retry,
  serveHttp,
  serveTcp,
  sleep,
  untilDone,
  withCancel,
  withGrace,
  withoutCancel,
  withSignal,
  withTimeout,
} from "@curfew/context";
import { assertNoLeaks } from "@curfew/context/testing";
import { Wrapper } from "../custom_context.ts";

const here = { hostname: "127.0.0.1", port: 0 };

/** Leaves something behind on `parent`; returns how to clean it up. */
type Leak = (parent: Context) => (() => unknown) | void;

const leaks: [call: string, leak: Leak][] = [
  ["withCancel", (parent) => void withCancel(parent)],
  ["withTimeout", (parent) => void withTimeout(parent, 60_000)],
  ["withTimeout", () => withTimeout(background(), 60_000).cancel],
  ["withSignal", (parent) => void withSignal(parent)],
  ["withGrace", (parent) => void withGrace(parent, 1_000)],
  ["sleep(60000)", (parent) => void sleep(parent, 60_000).catch(() => {})],
  ["afterFunc", (parent) => void afterFunc(parent, () => {})],
  ["orDone", (parent) => {
    orDone(parent, new Promise(() => {})).catch(() => {});
  }],
  ["sleep(", (parent) => void every(parent, 60_000).next()],
  ["untilDone", (parent) => void untilDone(parent, [1])],
  ["group", (parent) => void group(parent)],
  ["serveTcp 127.0.0.1:", (parent) => {
    const server = serveTcp(parent, here, () => {});
    return () => server.shutdown();
  }],
  ["serveHttp 127.0.0.1:", () => {
    const options = { ...here, lameDuck: 60_000 };
    const server = serveHttp(background(), options, () => new Response());
    return () => server.shutdown({ grace: 0 });
  }],
  ["refresh", () => {
    const { promise, resolve } = Promise.withResolvers<void>();
    // deno-lint-ignore curfew/floating-group -- the leak
    group(background()).go(function refresh() {
      return promise;
    });
    return resolve;
  }],
];
for (const [call, leak] of leaks) {
  Deno.test(`assertNoLeaks() names ${call} that is left behind, and its line`, async () => {
    const parent = withCancel(background());
    let cleanUp: (() => unknown) | void = undefined;
    const error = await assertRejects(
      () => assertNoLeaks(() => void (cleanUp = leak(parent))),
      Error,
      "assertNoLeaks: left behind:",
    );
    const [, first, ...others] = error.message.split("\n");
    assertEquals(others, []);
    assert(first!.startsWith(`  ${call}`), first);
    assert(/ at .*assert_no_leaks_test\.ts:\d+:\d+$/.test(first!), first);
    parent.cancel();
    await (cleanUp as (() => unknown) | undefined)?.();
  });
}

const clean: { [name: string]: (parent: CancelableContext) => unknown } = {
  "contexts that end with their block": (parent) => {
    using ctx = withTimeout(parent, 60_000);
    using child = withCancel(ctx);
    void child.signal;
  },
  "waits that are over": async (parent) => {
    await sleep(parent, 1);
    await orDone(parent, Promise.resolve());
    for await (const _ of every(parent, 1)) break;
    for await (const _ of untilDone(parent, [1, 2])) break;
    afterFunc(parent, () => {})();
    await retry(parent, () => {});
  },
  "a group that was waited for": async (parent) => {
    await using tasks = group(parent);
    await tasks.run((ctx) => sleep(ctx, 1));
  },
  "a server that was shut down": async (parent) => {
    await using server = serveHttp(parent, here, (ctx) => {
      using step = withTimeout(ctx, 60_000);
      void draining(step).signal;
      return new Response("hello");
    });
    const reply = await fetch(`http://127.0.0.1:${server.addr.port}/`);
    await reply.text();
  },
  "contexts that nothing refers to": () => {
    withCancel(background());
    withoutCancel(background());
  },
  "contexts that end with a parent made inside": (parent) => {
    using outer = withCancel(parent);
    withTimeout(outer, 60_000);
    sleep(outer, 60_000).catch(() => {});
  },
};
/** Calls under a context that is done: their contexts have ended from the start. */
const endedAtOnce: { [name: string]: (done: Context) => unknown } = {
  "a child": withCancel,
  "a timeout": (done) => withTimeout(done, 60_000),
  "a wait": (done) => sleep(done, 60_000).catch(() => {}),
  "an afterFunc": (done) => void afterFunc(done, () => {}),
  "a group": group,
};
for (const [name, f] of Object.entries(endedAtOnce)) {
  clean[`${name} of a context that is done`] = (parent) => {
    const done = withCancel(parent);
    done.cancel();
    return f(done);
  };
  clean[`${name} of a custom context that is done`] = (parent) => {
    const done = withCancel(parent);
    done.cancel();
    return f(withCancel(new Wrapper(done)));
  };
}

for (const [name, f] of Object.entries(clean)) {
  Deno.test(`assertNoLeaks() accepts ${name}`, async () => {
    using parent = withCancel(background());
    await assertNoLeaks(async () => void await f(parent));
  });
}

setFlagsFromString("--expose-gc");
const gc: () => void = runInNewContext("gc");

/** Runs `f` with the garbage collector shown, as by the flag --expose-gc. */
async function withCollector(f: () => Promise<unknown>): Promise<void> {
  Object.assign(globalThis, { gc });
  try {
    await f();
  } finally {
    Reflect.deleteProperty(globalThis, "gc");
  }
}

Deno.test("assertNoLeaks() with gc() accepts contexts that nothing refers to", async () => {
  await withCollector(() =>
    assertNoLeaks(() => {
      for (let i = 0; i < 10; i++) void withCancel(background()).signal;
    })
  );
});

Deno.test("assertNoLeaks() with gc() reports a child of a root that something refers to", async () => {
  const kept: Context[] = [];
  await withCollector(() =>
    assertRejects(
      () => assertNoLeaks(() => void kept.push(withCancel(background()))),
      Error,
      "withCancel at ",
    )
  );
});

Deno.test("assertNoLeaks() ignores what was there before", async () => {
  using parent = withTimeout(background(), 60_000);
  afterFunc(parent, () => {});
  await assertNoLeaks(() => {});
});

Deno.test("assertNoLeaks() reports one parent, not its children", async () => {
  using parent = withCancel(background());
  const error = await assertRejects(() =>
    assertNoLeaks(() => {
      // deno-lint-ignore curfew/lost-cancel -- the leak
      const outer = withCancel(parent);
      withCancel(outer);
      withTimeout(outer, 60_000);
    })
  );
  assertEquals((error as Error).message.split("\n").length, 2);
});

Deno.test("assertNoLeaks() reports a line once, however often it leaks", async () => {
  using parent = withCancel(background());
  const error = await assertRejects(() =>
    assertNoLeaks(() => {
      // deno-lint-ignore curfew/lost-cancel -- the leak
      for (let i = 0; i < 3; i++) withCancel(parent);
    })
  );
  assertEquals((error as Error).message.split("\n").length, 2);
});

Deno.test("assertNoLeaks() returns the result", async () => {
  assertEquals(await assertNoLeaks(() => 7), 7);
  assertEquals(await assertNoLeaks(() => Promise.resolve(8)), 8);
});

Deno.test("assertNoLeaks() passes on what the test throws, whatever it leaves", async () => {
  using parent = withCancel(background());
  await assertRejects(
    () =>
      assertNoLeaks(() => {
        // deno-lint-ignore curfew/lost-cancel -- the leak
        withCancel(parent);
        throw new Error("failed");
      }),
    Error,
    "failed",
  );
});

Deno.test("assertNoLeaks() of no function is a TypeError", async () => {
  await assertRejects(
    () => assertNoLeaks(undefined as unknown as () => void),
    TypeError,
    "assertNoLeaks: expected a function, got undefined",
  );
});
