import {
  assert,
  assertEquals,
  assertStringIncludes,
  assertThrows,
} from "@std/assert";
import { FakeTime } from "@std/testing/time";
import { background, serveHttp, withCancel } from "@curfew/context";
import {
  inspect,
  type Inspector,
  inspectRoutes,
  type InspectRoutesOptions,
} from "@curfew/context/inspect";

/** Asks the routes without a server. */
async function ask(
  url: string,
  { method = "GET", ...options }: InspectRoutesOptions & { method?: string } =
    {},
): Promise<Response> {
  using inspector = inspect();
  using ctx = withCancel(background());
  const request = new Request(url, { method });
  const reply = inspectRoutes(inspector, options)(ctx, request);
  const body = reply.headers.get("content-type") === "text/event-stream"
    ? null
    : await reply.text();
  if (body === null) await reply.body!.cancel();
  return new Response(body, { status: reply.status, headers: reply.headers });
}

const answers: [url: string, status: number, options?: {
  allow?: string[];
  method?: string;
}][] = [
  ["http://localhost:1/", 200],
  ["http://127.0.0.1:1/", 200],
  ["http://127.9.9.9:1/", 200],
  ["http://[::1]:1/", 200],
  ["http://localhost/debug/contexts/", 200],
  ["http://localhost/debug/contexts.json", 200],
  ["http://localhost/events", 200],
  ["http://localhost/other", 404],
  ["http://localhost/", 200, { method: "HEAD" }],
  ["http://localhost/", 405, { method: "POST" }],
  ["http://localhost/events", 405, { method: "HEAD" }],
  ["http://evil.example/", 403],
  ["http://localhost.evil.example/", 403],
  ["http://127.0.0.1.evil.example/", 403],
  ["http://10.0.0.1/contexts.json", 403],
  ["http://debug.example/", 200, { allow: ["Debug.example"] }],
  ["http://debug.example/", 403, { allow: ["example"] }],
];
for (const [url, status, options = {}] of answers) {
  const how = JSON.stringify(options);
  Deno.test(`inspectRoutes() answers ${status} to ${url} ${how}`, async () => {
    assertEquals((await ask(url, options)).status, status);
  });
}

Deno.test("inspectRoutes() serves a page without outside resources, whose policy allows its own script only", async () => {
  const reply = await ask("http://localhost/");
  const policy = reply.headers.get("content-security-policy")!;
  const [, nonce] = /script-src 'nonce-([^']+)'/.exec(policy)!;
  assertStringIncludes(policy, "default-src 'none'");
  assert(!policy.includes("unsafe"));
  const page = await reply.text();
  assertEquals(page.match(/<script/g)!.length, 1);
  assertStringIncludes(page, `<script nonce="${nonce}">`);
  assertStringIncludes(page, `<style nonce="${nonce}">`);
  assert(!/(src|href)="(?!data:,)/.test(page));
  const other = await ask("http://localhost/");
  assert(!other.headers.get("content-security-policy")!.includes(nonce!));
});

Deno.test("inspectRoutes() gives the contexts, the suspects and what ended as JSON", async () => {
  using inspector = inspect();
  using ctx = withCancel(background());
  withCancel(ctx).cancel(new Error("no reason"));
  const reply = inspectRoutes(inspector, { olderThan: 0 })(
    ctx,
    new Request("http://localhost/contexts.json"),
  );
  const { tree, recent, suspects } = await reply.json();
  assertEquals(tree.open, 1);
  assertEquals(recent[0].causes, ["Error: no reason"]);
  assertEquals(suspects.open[0].count, 1);
});

Deno.test("inspectRoutes() ends its events with a last state when the server drains", async () => {
  using inspector = inspect();
  const ctx = withCancel(background());
  const server = serveHttp(
    ctx,
    { hostname: "127.0.0.1", port: 0 },
    inspectRoutes(inspector),
  );
  const name = `serveHttp 127.0.0.1:${server.addr.port}`;
  const reply = await fetch(`http://127.0.0.1:${server.addr.port}/events`);
  const reader = reply.body!.pipeThrough(new TextDecoderStream()).getReader();
  const { value: first } = await reader.read();
  assertStringIncludes(first!, `event: state\ndata: {"tree":`);
  assertStringIncludes(first!, name);
  ctx.cancel(new Error("time to go"));
  let rest = "";
  for (;;) {
    const { done, value } = await reader.read();
    if (done) break;
    rest += value;
  }
  assertStringIncludes(rest, `"ended":["Error: time to go"]`);
  assert(rest.endsWith("event: drain\ndata: {}\n\n"));
  await server.finished;
});

Deno.test("inspectRoutes() streams events to a bounded number of readers", async () => {
  using inspector = inspect();
  const handler = inspectRoutes(inspector);
  const request = new Request("http://localhost/events");
  const ctx = withCancel(background());
  const readers: ReadableStreamDefaultReader<Uint8Array>[] = [];
  for (let reply; (reply = handler(ctx, request)).status === 200;) {
    const reader = reply.body!.getReader();
    await reader.read();
    readers.push(reader);
  }
  assertEquals(readers.length, 20);
  assertEquals(handler(ctx, request).status, 503);
  ctx.cancel();
  for (const reader of readers) while (!(await reader.read()).done);
  assertEquals(handler(ctx, request).status, 200);
});

Deno.test("inspectRoutes() counts readers from their request on, until its context ends", async () => {
  using inspector = inspect();
  const handler = inspectRoutes(inspector);
  const request = new Request("http://localhost/events");
  const contexts = Array.from({ length: 21 }, () => withCancel(background()));
  const replies = contexts.map((ctx) => handler(ctx, request));
  const [first, ...others] = replies.map(({ status }) => status);
  assertEquals([first, others.pop(), ...new Set(others)], [200, 503, 200]);
  contexts[0]!.cancel();
  await contexts[0]!.done;
  using ctx = withCancel(background());
  replies.push(handler(ctx, request));
  assertEquals(replies.at(-1)!.status, 200);
  assertEquals(handler(ctx, request).status, 503);
  for (const ctx of contexts) ctx.cancel();
  for (const { body } of replies) await body!.cancel();
});

Deno.test("inspectRoutes() sends no state within half a second of the last one", async () => {
  using time = new FakeTime();
  using inspector = inspect();
  const ctx = withCancel(background());
  const request = new Request("http://localhost/events");
  const reader = inspectRoutes(inspector)(ctx, request).body!.getReader();
  await reader.read();
  let hasMore = false;
  const next = reader.read().then(() => hasMore = true);
  await time.tickAsync(499);
  await time.runMicrotasks();
  assert(!hasMore);
  ctx.cancel();
  await next;
  while (!(await reader.read()).done);
});

Deno.test("inspectRoutes() sends the next state on time after a reader that was slow", async () => {
  using time = new FakeTime();
  using inspector = inspect();
  let monotonic = 0;
  using stack = new DisposableStack();
  stack.defer(() => Reflect.deleteProperty(performance, "now"));
  performance.now = () => monotonic;
  const ctx = withCancel(background());
  const request = new Request("http://localhost/events");
  const reader = inspectRoutes(inspector)(ctx, request).body!.getReader();
  await reader.read();
  monotonic += 60_000;
  let hasMore = false;
  const next = reader.read().then(() => hasMore = true);
  await time.runMicrotasks();
  await time.tickAsync(500);
  await time.runMicrotasks();
  assert(hasMore);
  ctx.cancel();
  await next;
  while (!(await reader.read()).done);
});

Deno.test("inspectRoutes() says what it expects if it is not given an inspector", () => {
  for (const wrong of [undefined, null, {}]) {
    assertThrows(
      () => inspectRoutes(wrong as unknown as Inspector),
      TypeError,
      "inspectRoutes: expected the result of inspect(), got ",
    );
  }
});

const wrongOptions: [options: unknown, kind: ErrorConstructor, text: string][] =
  [
    [5, TypeError, "expected an object with options, got 5"],
    [{ allow: "debug" }, TypeError, 'an array of host names, got "debug"'],
    [{ olderThan: -1 }, RangeError, "a number of ms >= 0, got -1"],
    [{ olderThan: "1" }, RangeError, 'a number of ms >= 0, got "1"'],
  ];
for (const [options, kind, text] of wrongOptions) {
  Deno.test(`inspectRoutes() refuses ${JSON.stringify(options)} as options`, () => {
    using inspector = inspect();
    assertThrows(
      () => inspectRoutes(inspector, options as InspectRoutesOptions),
      kind,
      text,
    );
  });
}
