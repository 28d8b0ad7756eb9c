import {
  background,
  type Context,
  type HealthCheck,
  healthRoutes,
  type HealthRoutesOptions,
  serveHttp,
  withCancel,
  withTimeout,
} from "@curfew/context";
import { assertEquals, assertInstanceOf, assertThrows } from "@std/assert";
import { FakeTime } from "@std/testing/time";

const ready = { ready: true };

/** Asks the routes without a server in between. */
async function ask(
  options: HealthRoutesOptions,
  path: string,
  init?: RequestInit,
  ctx: Context = background(),
): Promise<Response> {
  const request = new Request(`http://localhost${path}`, init);
  return await healthRoutes(options)(ctx, request);
}

const replies: [method: string, path: string, status: number, body: string][] =
  [
    ["GET", "/-/healthy", 200, "healthy\n"],
    ["HEAD", "/-/healthy", 200, "healthy\n"],
    ["GET", "/-/healthy?verbose", 200, "healthy\n"],
    ["POST", "/-/healthy", 405, "method not allowed\n"],
    ["DELETE", "/-/ready", 405, "method not allowed\n"],
    ["GET", "/-/ready", 503, "stopping\n"],
    ["GET", "/", 404, "not found\n"],
  ];
for (const [method, path, status, body] of replies) {
  Deno.test(`healthRoutes() answers ${method} ${path} with ${status}, not to be stored`, async () => {
    const response = await ask({}, path, { method });
    assertEquals([response.status, await response.text()], [status, body]);
    const { headers } = response;
    assertEquals(headers.get("cache-control"), "no-store");
    assertEquals(headers.get("allow"), status === 405 ? "GET, HEAD" : null);
  });
}

Deno.test("healthRoutes() takes other paths", async () => {
  const options = { server: ready, live: "/livez", ready: "/readyz" };
  const statuses: number[] = [];
  for (const path of ["/livez", "/readyz", "/-/healthy", "/-/ready"]) {
    statuses.push((await ask(options, path)).status);
  }
  assertEquals(statuses, [200, 200, 404, 404]);
});

Deno.test("healthRoutes() runs no checks for the liveness route, and none if the server is not ready", async () => {
  let runs = 0;
  const checks = { count: () => void runs++ };
  await ask({ server: ready, checks }, "/-/healthy");
  await ask({ server: { ready: false }, checks }, "/-/ready");
  assertEquals(runs, 0);
  await ask({ server: ready, checks }, "/-/ready");
  assertEquals(runs, 1);
});

const never = () => new Promise(() => {});
const outcomes: [
  what: string,
  check: HealthCheck,
  status: number,
  body: string,
][] = [
  ["returns nothing", () => {}, 200, "ready\ndb: ok\n"],
  ["resolves", () => Promise.resolve(0), 200, "ready\ndb: ok\n"],
  ["returns false", () => false, 503, "not ready\ndb: failed\n"],
  [
    "resolves with false",
    () => Promise.resolve(false),
    503,
    "not ready\ndb: failed\n",
  ],
  [
    "throws",
    () => {
      throw new Error("secret");
    },
    503,
    "not ready\ndb: failed\n",
  ],
  [
    "rejects",
    () => Promise.reject(new Error("secret")),
    503,
    "not ready\ndb: failed\n",
  ],
];
for (const [what, db, status, body] of outcomes) {
  Deno.test(`healthRoutes() answers ${status} if a check ${what}`, async () => {
    const options = { server: ready, checks: { db }, onError: () => {} };
    const response = await ask(options, "/-/ready");
    assertEquals([response.status, await response.text()], [status, body]);
  });
}

Deno.test("healthRoutes() runs all checks at once, each with its own timeout", async () => {
  using time = new FakeTime();
  const errors: unknown[] = [];
  let isCanceled = false;
  const response = ask({
    server: ready,
    checks: {
      slow: never,
      slower: { check: never, timeout: 300 },
      heedful: (ctx) => ctx.done.then(() => isCanceled = true),
      fast: () => {},
    },
    timeout: 200,
    onError: (error, name) => errors.push([name, (error as Error).name]),
  }, "/-/ready");
  await time.tickAsync(200);
  await time.tickAsync(100);
  assertEquals(
    await (await response).text(),
    "not ready\nslow: timed out\nslower: timed out\nheedful: timed out\nfast: ok\n",
  );
  assertEquals(isCanceled, true);
  assertEquals(errors, [
    ["slow", "TimeoutError"],
    ["heedful", "TimeoutError"],
    ["slower", "TimeoutError"],
  ]);
});

Deno.test("a check that fails at a deadline of its own has failed, not timed out", async () => {
  const db = () => {
    using step = withTimeout(background(), 0);
    throw step.err;
  };
  const options = { server: ready, checks: { db }, onError: () => {} };
  const response = await ask(options, "/-/ready");
  assertEquals(await response.text(), "not ready\ndb: failed\n");
});

Deno.test("the ctx of a check is done when the check has ended", async () => {
  let ctx: Context | undefined;
  const db = (given: Context) => {
    ctx = given;
    assertEquals(given.err, undefined);
  };
  await ask({ server: ready, checks: { db } }, "/-/ready");
  assertInstanceOf(ctx?.err, DOMException);
});

Deno.test("a check takes 1,000 ms by default", async () => {
  using time = new FakeTime();
  const options = { server: ready, checks: { never }, onError: () => {} };
  const response = ask(options, "/-/ready");
  let isDone = false;
  response.then(() => isDone = true);
  await time.tickAsync(999);
  await time.runMicrotasks();
  assertEquals(isDone, false);
  await time.tickAsync(1);
  assertEquals((await response).status, 503);
});

Deno.test("healthRoutes() reports a failing check once, until it has succeeded again", async () => {
  const errors: unknown[] = [];
  const results: (string | undefined)[] = ["a", "b", undefined, "c"];
  const routes = healthRoutes({
    server: ready,
    checks: {
      db: () => {
        const error = results.shift();
        if (error !== undefined) throw error;
      },
    },
    onError: (error, name) => errors.push([error, name]),
  });
  for (let n = 0; n < 4; n++) {
    await routes(background(), new Request("http://localhost/-/ready"));
  }
  assertEquals(errors, [["a", "db"], ["c", "db"]]);
});

Deno.test("a check that is cut short by the end of its request is not reported", async () => {
  const ctx = withCancel(background());
  const errors: unknown[] = [];
  const response = ask(
    {
      server: ready,
      checks: { never },
      onError: (error) => errors.push(error),
    },
    "/-/ready",
    {},
    ctx,
  );
  ctx.cancel();
  assertEquals((await response).status, 503);
  assertEquals(errors, []);
});

const json: [path: string, init: RequestInit][] = [
  ["/-/ready", { headers: { accept: "application/json" } }],
  ["/-/ready?format=json", {}],
];
for (const [path, init] of json) {
  Deno.test(`healthRoutes() answers GET ${path} ${JSON.stringify(init)} in JSON`, async () => {
    const checks = { db: () => {}, queue: () => false };
    const response = await ask({ server: ready, checks }, path, init);
    assertEquals(response.headers.get("content-type"), "application/json");
    assertEquals(response.headers.get("cache-control"), "no-store");
    assertEquals([response.status, await response.json()], [503, {
      status: "not ready",
      checks: { db: "ok", queue: "failed" },
    }]);
  });
}

Deno.test("healthRoutes() leaves checks out of JSON replies that ran none", async () => {
  const response = await ask({}, "/-/healthy?format=json");
  assertEquals(await response.json(), { status: "healthy" });
});

Deno.test("healthRoutes() on a port of its own stays live while the other server drains", async () => {
  const local = { hostname: "127.0.0.1", port: 0 };
  const entered = Promise.withResolvers<void>();
  const release = Promise.withResolvers<Response>();
  const server = serveHttp(background(), local, () => {
    entered.resolve();
    return release.promise;
  });
  await using health = serveHttp(
    background(),
    local,
    healthRoutes({ server }),
  );
  const url = (addr: Deno.Addr) =>
    `http://127.0.0.1:${(addr as Deno.NetAddr).port}`;
  const status = async (path: string) => {
    const response = await fetch(`${url(health.addr)}${path}`);
    await response.body?.cancel();
    return response.status;
  };
  assertEquals([await status("/-/healthy"), await status("/-/ready")], [
    200,
    200,
  ]);
  const inFlight = fetch(url(server.addr));
  await entered.promise;
  const ended = server.shutdown();
  assertEquals([await status("/-/healthy"), await status("/-/ready")], [
    200,
    503,
  ]);
  release.resolve(new Response("done"));
  assertEquals(await (await inFlight).text(), "done");
  await ended;
});

Deno.test("healthRoutes() reports the server that answers by default", async () => {
  const local = { hostname: "127.0.0.1", port: 0 };
  await using server = serveHttp(background(), local, healthRoutes());
  const { port } = server.addr as Deno.NetAddr;
  const response = await fetch(`http://127.0.0.1:${port}/-/ready`);
  assertEquals([response.status, await response.text()], [200, "ready\n"]);
});

const mistakes: [options: HealthRoutesOptions, message: string][] = [
  [
    { live: "healthz" },
    'live must be a path that begins with "/", got "healthz"',
  ],
  [{ ready: 1 as never }, 'ready must be a path that begins with "/", got 1'],
  [
    { live: "/healthz", ready: "/healthz" },
    "live and ready are both /healthz; give each its own path",
  ],
  [{ timeout: 0 }, "timeout must be"],
  [{ checks: { db: 1 as never } }, 'the check "db" is not a function'],
  [
    { checks: { db: { check: never, timeout: NaN } } },
    'timeout of "db" must be',
  ],
];
for (const [options, message] of mistakes) {
  Deno.test(`healthRoutes() throws: ${message}`, () => {
    const error = assertThrows(
      () => healthRoutes(options),
      Error,
      `healthRoutes: ${message}`,
    );
    assertInstanceOf(
      error,
      message.includes("timeout") ? RangeError : TypeError,
    );
  });
}
