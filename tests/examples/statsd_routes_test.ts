import { assert, assertEquals, assertMatch, assertRejects } from "@std/assert";
import { FakeTime } from "@std/testing/time";
import { background, DeadlineExceeded, withCancel } from "@curfew/context";
import { pageResponse } from "../../examples/statsd/page.ts";
import {
  MAX_SCRAPES,
  routesOf,
  type Service,
} from "../../examples/statsd/routes.ts";

const OPEN = "application/openmetrics-text; version=1.0.0";
const BROWSER = { "sec-fetch-mode": "cors" };

async function ask(
  what: string,
  headers: Record<string, string> = {},
  service: Partial<Service> = {},
): Promise<[status: number, text: string, headers: Headers]> {
  const [method = "", url = ""] = what.split(" ");
  const handler = routesOf({
    hostname: "127.0.0.1",
    isReady: () => true,
    native: false,
    exposition: (format) => Array<string>(500).fill(`${format} `),
    messages: () => [Uint8Array.of(1, 2, 3)],
    page: pageResponse,
    events: () => new Response("events"),
    quit: undefined,
    ...service,
  });
  using ctx = withCancel(background());
  const response = await handler(ctx, new Request(url, { method, headers }));
  return [response.status, await response.text(), response.headers];
}

Deno.test("/-/ready is 200 until the service stops", async () => {
  const url = "GET http://localhost/-/ready";
  assertEquals((await ask(url)).slice(0, 2), [200, "ready\n"]);
  const stopping = { isReady: () => false };
  assertEquals((await ask(url, {}, stopping)).slice(0, 2), [503, "stopping\n"]);
});

const HOSTS: [bound: string, host: string, status: number][] = [
  ["127.0.0.1", "127.0.0.1:9102", 200],
  ["127.0.0.1", "localhost:9102", 200],
  ["127.0.0.1", "[::1]:9102", 200],
  ["127.0.0.1", "127.8.8.8", 200],
  ["127.0.0.1", "evil.example", 421],
  ["127.0.0.1", "evil.example:9102", 421],
  ["127.0.0.1", "127.0.0.1.evil.example", 421],
  ["127.0.0.1", "localhost.evil.example", 421],
  ["127.0.0.1", "192.168.0.7", 421],
  ["::1", "evil.example", 421],
  ["::1", "[::1]", 200],
  ["localhost", "evil.example", 421],
  ["localhost", "localhost", 200],
  ["::ffff:127.0.0.1", "evil.example", 421],
  ["::ffff:127.0.0.1", "[::ffff:127.0.0.1]", 200],
  ["0.0.0.0", "metrics.example", 200],
  ["192.168.0.7", "metrics.example", 200],
];

for (const [bound, host, status] of HOSTS) {
  Deno.test(`bound to ${bound}, the service answers ${host} with ${status}`, async () => {
    for (const path of ["", "metrics", "events", "-/ready"]) {
      const [actual] = await ask(`GET http://${host}/${path}`, {}, {
        hostname: bound,
      });
      assertEquals(actual, status, path);
    }
  });
}

Deno.test("a wrong method gets 405 with the right one in Allow", async () => {
  for (
    const [what, status, allow] of [
      ["POST http://localhost/metrics", 405, "GET"],
      ["GET http://localhost/-/quit", 405, "POST"],
      ["HEAD http://localhost/-/healthy", 200, null],
      ["GET http://localhost/nowhere", 404, null],
      ["GET http://localhost/toString", 404, null],
    ] as const
  ) {
    const [actual, , headers] = await ask(what);
    assertEquals([actual, headers.get("allow")], [status, allow], what);
  }
});

Deno.test("scrapes that nobody reads keep out further scrapes only, for 30 seconds", async () => {
  using time = new FakeTime();
  using ctx = withCancel(background());
  const handler = routesOf({
    ...{ hostname: "127.0.0.1", isReady: () => true, page: pageResponse },
    ...{ native: false, messages: () => [] },
    ...{ events: () => new Response(), quit: undefined },
    exposition: function* () {
      for (;;) yield "metric 1\n";
    },
  });
  const status = async (path: string) =>
    (await handler(ctx, new Request(`http://localhost/${path}`))).status;
  const scrapes: Response[] = [];
  for (let i = 0; i < MAX_SCRAPES; i++) {
    scrapes.push(await handler(ctx, new Request("http://localhost/metrics")));
  }
  assertEquals(await status("metrics"), 503);
  assertEquals(await status("-/healthy"), 200);
  assertEquals(await status("-/ready"), 200);
  await time.tickAsync(30_000);
  assertEquals(await status("metrics"), 200);
  for (const { body } of scrapes) {
    await assertRejects(() => new Response(body).text(), DeadlineExceeded);
  }
});

const QUITS: [headers: Record<string, string>, status: number][] = [
  [{}, 200],
  [{ "sec-fetch-site": "none" }, 200],
  [{ "sec-fetch-site": "same-origin", origin: "http://localhost:9102" }, 200],
  [{ origin: "http://localhost:9102" }, 200],
  [{ origin: "http://localhost:9103" }, 403],
  [{ origin: "http://evil.example" }, 403],
  [{ origin: "null" }, 403],
  [{ "sec-fetch-site": "cross-site" }, 403],
  [{ "sec-fetch-site": "same-site" }, 403],
  [{ "sec-fetch-site": "cross-site", origin: "http://localhost:9102" }, 403],
];

for (const [headers, status] of QUITS) {
  const sent = JSON.stringify(headers);
  Deno.test(`POST /-/quit with ${sent} gets ${status}`, async () => {
    let quits = 0;
    const quit = () => {
      quits++;
    };
    const what = "POST http://localhost:9102/-/quit";
    const [actual] = await ask(what, { ...BROWSER, ...headers }, { quit });
    assertEquals([actual, quits], [status, status === 200 ? 1 : 0]);
    // Without --lifecycle it is never allowed.
    assertEquals((await ask(what, headers))[0], 403);
  });
}

Deno.test("/metrics has the format of the Accept header", async () => {
  const [, plain, text] = await ask("GET http://localhost/metrics");
  assertMatch(plain, /^text /);
  assertEquals(
    text.get("content-type"),
    "text/plain; version=0.0.4; charset=utf-8",
  );
  assertEquals(text.get("content-encoding"), null);
  assertEquals(text.get("vary"), "accept, accept-encoding");
  const [, body, open] = await ask("GET http://localhost/metrics", {
    accept: OPEN,
  });
  assertMatch(body, /^openmetrics /);
  assertEquals(open.get("content-type"), `${OPEN}; charset=utf-8`);
});

Deno.test("/metrics is protobuf for a client that accepts it, with native histograms only", async () => {
  const url = "GET http://localhost/metrics";
  const accept = "application/vnd.google.protobuf";
  const [, body, headers] = await ask(url, { accept }, { native: true });
  assertEquals(body, "\x01\x02\x03");
  assertEquals(
    headers.get("content-type"),
    "application/vnd.google.protobuf; " +
      "proto=io.prometheus.client.MetricFamily; encoding=delimited",
  );
  assertMatch((await ask(url, { accept }))[1], /^text /);
});

Deno.test("/metrics is compressed if the client accepts gzip", async () => {
  const handler = routesOf({
    ...{ hostname: "127.0.0.1", isReady: () => true, page: pageResponse },
    ...{ native: false, messages: () => [] },
    ...{ events: () => new Response(), quit: undefined },
    exposition: () => ["metric 1\n".repeat(1_000)],
  });
  using ctx = withCancel(background());
  const response = await handler(
    ctx,
    new Request("http://localhost/metrics", {
      headers: { "accept-encoding": "gzip" },
    }),
  );
  assertEquals(response.headers.get("content-encoding"), "gzip");
  const zipped = await response.bytes();
  assert(zipped.length < 1_000, `${zipped.length} bytes`);
  const body = new Blob([zipped]).stream()
    .pipeThrough(new DecompressionStream("gzip"));
  assertEquals(
    await new Response(body).text(),
    "metric 1\n".repeat(1_000),
  );
});

Deno.test("the page runs only its own script and style", async () => {
  const [status, page, headers] = await ask("GET http://localhost/");
  assertEquals(status, 200);
  const policy = headers.get("content-security-policy") ?? "";
  const [, nonce = ""] = policy.match(/script-src 'nonce-([\w-]{36})';/) ?? [];
  assertEquals(page.match(/<(script|style)/g)?.length, 2);
  assertEquals(page.split(`nonce="${nonce}"`).length, 3);
  assert(policy.includes("default-src 'none'"));
  assert(!policy.includes("unsafe"));
  assert(!page.includes("://"), "something external");
  const [, , again] = await ask("GET http://localhost/");
  assert(!again.get("content-security-policy")!.includes(nonce));
});
