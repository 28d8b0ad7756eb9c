import {
  assert,
  assertEquals,
  assertInstanceOf,
  assertThrows,
} from "@std/assert";
import { FakeTime } from "@std/testing/time";
import {
  background,
  cause,
  ClientDeadline,
  type Context,
  DeadlineExceeded,
  type HttpServer,
  remaining,
  serveHttp,
  type ServeHttpOptions,
  sleep,
  withCancel,
} from "@curfew/context";
import { DeadlineHeaders } from "../../../net/http/deadline_headers.ts";

const every = [
  "grpc-timeout",
  "connect-timeout-ms",
  "x-envoy-expected-rq-timeout-ms",
] as const;

/** Options that trust all known headers. */
const here = { hostname: "127.0.0.1", port: 0, deadlineHeaders: every };

function request(headers: HeadersInit): Request {
  return new Request("http://localhost/", { headers });
}

function get(server: HttpServer, headers: HeadersInit): Promise<Response> {
  return fetch(`http://127.0.0.1:${server.addr.port}/`, { headers });
}

/** Answers with the ms that the request has left, or "Infinity". */
function left(ctx: Context): Response {
  return new Response(String(remaining(ctx)));
}

/** Returns the time left that the handler sees, for each of `requests`. */
async function timesLeft(
  options: ServeHttpOptions,
  requests: readonly HeadersInit[],
): Promise<number[]> {
  using _time = new FakeTime();
  await using server = serveHttp(background(), options, left);
  const times: number[] = [];
  for (const headers of requests) {
    times.push(Number(await (await get(server, headers)).text()));
  }
  return times;
}

Deno.test("DeadlineHeaders reads the units of every header", () => {
  const table: [string, string, number][] = [
    ["grpc-timeout", "100m", 100],
    ["grpc-timeout", "5S", 5_000],
    ["grpc-timeout", "2M", 120_000],
    ["grpc-timeout", "1H", 3_600_000],
    ["grpc-timeout", "10u", 0.01],
    ["grpc-timeout", "10n", 10 * 1e-6],
    ["grpc-timeout", "99999999H", 99_999_999 * 3_600_000],
    ["grpc-timeout", "00000001S", 1_000],
    ["grpc-timeout", "0m", 0],
    ["grpc-timeout", "-1S", -1_000],
    ["connect-timeout-ms", "900", 900],
    ["connect-timeout-ms", "9999999999", 9_999_999_999],
    ["connect-timeout-ms", "0", 0],
    ["connect-timeout-ms", "-5", -5],
    ["x-envoy-expected-rq-timeout-ms", "1500", 1_500],
    ["x-envoy-expected-rq-timeout-ms", " 15 ", 15],
  ];
  for (const [header, value, ms] of table) {
    const headers = new DeadlineHeaders(every);
    const deadline = headers.shortest(request({ [header]: value }));
    assertInstanceOf(deadline, ClientDeadline, `${header}: ${value}`);
    const { header: name, timeout } = deadline;
    assertEquals([name, timeout], [header, ms], `${header}: ${value}`);
    assertEquals(headers.ignored, 0);
  }
});

Deno.test("DeadlineHeaders ignores and counts what does not parse", () => {
  const table: [string, string[]][] = [
    ["grpc-timeout", [
      "",
      "5",
      "S",
      "5s",
      "5 S",
      "1.5S",
      "+5S",
      "0x5S",
      "1e3m",
      "100000000m",
      "5S, 6S",
      "5SS",
      "--5S",
      "٣S",
    ]],
    ["connect-timeout-ms", [
      "",
      "soon",
      "1.5",
      "1e3",
      "+5",
      "0x10",
      "5m",
      "10000000000",
      "5, 6",
      "- 5",
      "NaN",
      "Infinity",
    ]],
    ["x-envoy-expected-rq-timeout-ms", ["15s", "9".repeat(5_000)]],
  ];
  for (const [header, values] of table) {
    for (const value of values) {
      const headers = new DeadlineHeaders(every);
      // A Headers object would not take all of them.
      const get = (name: string) => name === header ? value : null;
      const given = { headers: { get } } as unknown as Request;
      const deadline = headers.shortest(given);
      assertEquals([deadline, headers.ignored], [undefined, 1], value);
    }
  }
});

Deno.test("DeadlineHeaders takes the shortest of those it trusts", () => {
  const headers = new DeadlineHeaders(["grpc-timeout", "connect-timeout-ms"]);
  const shortest = (given: HeadersInit) => {
    const deadline = headers.shortest(request(given));
    return deadline && [deadline.header, deadline.timeout];
  };
  assertEquals(shortest({}), undefined);
  assertEquals(shortest({ "x-envoy-expected-rq-timeout-ms": "1" }), undefined);
  const both = (grpc: string, connect: string) =>
    shortest({ "grpc-timeout": grpc, "connect-timeout-ms": connect });
  assertEquals(both("1S", "900"), ["connect-timeout-ms", 900]);
  assertEquals(both("800m", "900"), ["grpc-timeout", 800]);
  assertEquals(both("900m", "900"), ["grpc-timeout", 900]);
  assertEquals(headers.ignored, 0);
  assertEquals(both("soon", "900"), ["connect-timeout-ms", 900]);
  assertEquals(both("800m", "soon"), ["grpc-timeout", 800]);
  assertEquals(headers.ignored, 2);
});

Deno.test("serveHttp() takes the deadline of the client, capped by requestTimeout", async () => {
  const requests = [
    { "grpc-timeout": "900m" },
    { "connect-timeout-ms": "400", "grpc-timeout": "1S" },
    { "grpc-timeout": "9S" },
    { "grpc-timeout": "soon" },
    { "x-timeout": "9" },
    {},
  ];
  assertEquals(
    await timesLeft({ ...here, requestTimeout: 3_000 }, requests),
    [900, 400, 3_000, 3_000, 3_000, 3_000],
  );
  assertEquals(
    await timesLeft({ ...here, requestTimeout: () => 3_000 }, requests),
    [900, 400, 3_000, 3_000, 3_000, 3_000],
  );
  assertEquals(
    await timesLeft(here, requests),
    [900, 400, 9_000, Infinity, Infinity, Infinity],
  );
});

Deno.test("serveHttp() trusts no header that it was not told to", async () => {
  const { deadlineHeaders: _, ...plain } = here;
  const requests = [{ "grpc-timeout": "900m" }, { "connect-timeout-ms": "5" }];
  assertEquals(await timesLeft(plain, requests), [Infinity, Infinity]);
  const none = { ...here, deadlineHeaders: [] };
  assertEquals(await timesLeft(none, requests), [Infinity, Infinity]);
  const one = { ...here, deadlineHeaders: ["connect-timeout-ms"] };
  assertEquals(await timesLeft(one, requests), [Infinity, 5]);
});

Deno.test("serveHttp() answers 504 without calling the handler when no time is left", async () => {
  let calls = 0;
  await using server = serveHttp(background(), here, () => {
    calls++;
    return new Response();
  });
  for (
    const headers of [
      { "connect-timeout-ms": "0" },
      { "connect-timeout-ms": "-1" },
      { "grpc-timeout": "0n" },
      { "grpc-timeout": "5S", "x-envoy-expected-rq-timeout-ms": "0" },
    ]
  ) {
    const reply = await get(server, headers as unknown as HeadersInit);
    await reply.body?.cancel();
    assertEquals(reply.status, 504, JSON.stringify(headers));
  }
  assertEquals([calls, server.ignoredDeadlines], [0, 0]);
});

Deno.test("serveHttp() ends ctx and answers 504 when the client's deadline passes", async () => {
  using time = new FakeTime();
  const entered = Promise.withResolvers<Context>();
  const options = { ...here, requestTimeout: 3_000 };
  await using server = serveHttp(background(), options, async (ctx) => {
    entered.resolve(ctx);
    await sleep(ctx, 60_000);
    return new Response("too late");
  });
  const reply = get(server, { "grpc-timeout": "1S" });
  const ctx = await entered.promise;
  time.tick(999);
  assertEquals(ctx.err, undefined);
  time.tick(1);
  assertInstanceOf(ctx.err, DeadlineExceeded);
  const why = cause(ctx);
  assertInstanceOf(why, ClientDeadline);
  assertEquals([why.name, why.header, why.timeout], [
    "ClientDeadline",
    "grpc-timeout",
    1_000,
  ]);
  assertEquals(
    why.message,
    "the client waits no longer: grpc-timeout was 1000 ms",
  );
  const response = await reply;
  await response.body?.cancel();
  assertEquals(response.status, 504);
});

Deno.test("serveHttp() does not blame the client for its own requestTimeout", async () => {
  using time = new FakeTime();
  const causes: unknown[] = [];
  const options = { ...here, requestTimeout: 1_000 };
  await using server = serveHttp(background(), options, (ctx) => {
    time.tick(1_000);
    causes.push(cause(ctx));
    return new Response();
  });
  for (const value of ["1001m", "1S"]) {
    await (await get(server, { "grpc-timeout": value })).body?.cancel();
  }
  assertInstanceOf(causes[0], DeadlineExceeded);
  assertInstanceOf(causes[1], ClientDeadline);
});

Deno.test("serveHttp() counts the deadlines that it ignores", async () => {
  await using server = serveHttp(background(), here, left);
  assertEquals(server.ignoredDeadlines, 0);
  for (const value of ["soon", "5", "5S"]) {
    await (await get(server, { "grpc-timeout": value })).text();
  }
  assertEquals(server.ignoredDeadlines, 2);
});

Deno.test("serveHttp() counts no deadlines if it trusts no header", async () => {
  const { deadlineHeaders: _, ...plain } = here;
  await using server = serveHttp(background(), plain, left);
  await (await get(server, { "grpc-timeout": "soon" })).text();
  assertEquals(server.ignoredDeadlines, 0);
});

Deno.test("serveHttp() rejects deadlineHeaders that it does not know", () => {
  using done = withCancel(background());
  done.cancel();
  const known =
    "grpc-timeout, connect-timeout-ms, x-envoy-expected-rq-timeout-ms";
  const table: [unknown, string][] = [
    [["x-timeout"], `expected one of ${known}, got "x-timeout"`],
    [["Grpc-Timeout"], `expected one of ${known}, got "Grpc-Timeout"`],
    [["grpc-timeout", 5], `expected one of ${known}, got 5`],
  ];
  for (const [deadlineHeaders, message] of table) {
    const options = { ...here, deadlineHeaders } as ServeHttpOptions;
    // Before ctx is looked at, and before it listens.
    assertThrows(
      () => serveHttp(done, options, left),
      TypeError,
      `serveHttp: deadlineHeaders: ${message}`,
    );
  }
  const options = { ...here, deadlineHeaders: "grpc-timeout" } as never;
  const error = assertThrows(() => serveHttp(done, options, left), TypeError);
  assert(
    error.message === "serveHttp: deadlineHeaders must be an array, got string",
    error.message,
  );
});
