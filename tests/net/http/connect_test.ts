// deno-lint-ignore-file no-import-prefix
// Deadlines to and from the Connect and gRPC libraries of connectrpc.com.

import { create, createFileRegistry } from "npm:@bufbuild/protobuf@2.17.0";
import {
  file_google_protobuf_wrappers,
  FileDescriptorProtoSchema,
  StringValueSchema,
} from "npm:@bufbuild/protobuf@2.17.0/wkt";
import {
  Code,
  ConnectError,
  createClient,
  createConnectRouter,
  type Transport,
} from "npm:@connectrpc/connect@2.1.1";
import {
  universalServerRequestFromFetch,
  universalServerResponseToFetch,
} from "npm:@connectrpc/connect@2.1.1/protocol";
import * as node from "npm:@connectrpc/connect-node@2.1.1";
import * as web from "npm:@connectrpc/connect-web@2.1.1";
import { assert, assertEquals, assertRejects } from "@std/assert";
import {
  background,
  type Context,
  remaining,
  requestInit,
  serveHttp,
  withTimeout,
} from "@curfew/context";

const stringValue = ".google.protobuf.StringValue";

/** A service of one method, made without a code generator. */
const Echo = createFileRegistry(
  create(FileDescriptorProtoSchema, {
    name: "echo.proto",
    package: "echo",
    syntax: "proto3",
    dependency: ["google/protobuf/wrappers.proto"],
    service: [{
      name: "Echo",
      method: [{
        name: "Say",
        inputType: stringValue,
        outputType: stringValue,
      }],
    }],
  }),
  () => file_google_protobuf_wrappers.proto,
).getService("echo.Echo")!;

// deno-lint-ignore no-explicit-any
type AnyClient = any;

function say(transport: Transport, options: object): Promise<unknown> {
  const client: AnyClient = createClient(Echo, transport);
  return client.say(create(StringValueSchema, { value: "hi" }), options);
}

const here = {
  hostname: "127.0.0.1",
  port: 0,
  deadlineHeaders: ["connect-timeout-ms", "grpc-timeout"],
};

const transports: [string, (baseUrl: string) => Transport][] = [
  [
    "connect-node with Connect",
    (baseUrl) => node.createConnectTransport({ baseUrl, httpVersion: "1.1" }),
  ],
  [
    "connect-node with gRPC-Web",
    (baseUrl) => node.createGrpcWebTransport({ baseUrl, httpVersion: "1.1" }),
  ],
  [
    "connect-node with gRPC",
    (baseUrl) => node.createGrpcTransport({ baseUrl }),
  ],
  [
    "connect-web with Connect",
    (baseUrl) => web.createConnectTransport({ baseUrl }),
  ],
  [
    "connect-web with gRPC-Web",
    (baseUrl) => web.createGrpcWebTransport({ baseUrl }),
  ],
];

for (const [name, transport] of transports) {
  Deno.test({
    name: `serveHttp() takes the deadline of a client: ${name}`,
    // The pool of node:http keeps its connections for a while.
    sanitizeOps: name.startsWith("connect-web"),
    sanitizeResources: name.startsWith("connect-web"),
    async fn() {
      const left: number[] = [];
      await using server = serveHttp(background(), here, (ctx) => {
        left.push(remaining(ctx));
        return new Response(null, { status: 404 });
      });
      const url = `http://127.0.0.1:${server.addr.port}`;
      for (const timeoutMs of [30_000, undefined]) {
        const error = await assertRejects(() =>
          say(transport(url), { timeoutMs })
        );
        assertEquals(ConnectError.from(error).code, Code.Unimplemented);
      }
      const [limited, free] = left;
      assert(limited! > 0 && limited! <= 30_000, `${limited}`);
      assertEquals([free, server.ignoredDeadlines], [Infinity, 0]);
      await server.shutdown({ grace: 0 });
    },
  });
}

/** A Connect server whose method does `work`, on plain Deno.serve. */
function serveConnect(
  // deno-lint-ignore no-explicit-any
  work: (context: any) => Promise<string> | string,
): Deno.HttpServer<Deno.NetAddr> {
  const router = createConnectRouter();
  router.service(Echo, {
    // deno-lint-ignore no-explicit-any
    say: async (_request: any, context: any) =>
      create(StringValueSchema, { value: await work(context) }),
    // deno-lint-ignore no-explicit-any
  } as any);
  const [handler] = router.handlers;
  return Deno.serve(
    { hostname: "127.0.0.1", port: 0, onListen() {} },
    async (request) => {
      const universal = universalServerRequestFromFetch(request, {});
      return universalServerResponseToFetch(await handler!(universal));
    },
  );
}

/** Calls it with Connect's JSON. */
function call(ctx: Context, server: Deno.HttpServer<Deno.NetAddr>) {
  const url = `http://127.0.0.1:${server.addr.port}/echo.Echo/Say`;
  const headers = { "content-type": "application/json" };
  const init = { method: "POST", headers, body: '"hi"' };
  const deadlineHeader = "connect-timeout-ms";
  return fetch(url, requestInit(ctx, init, { deadlineHeader }));
}

Deno.test("requestInit() tells a Connect server the deadline", async () => {
  await using server = serveConnect((context) => String(context.timeoutMs()));
  using ctx = withTimeout(background(), 30_000);
  const left = Number(await (await call(ctx, server)).json());
  assert(left > 0 && left <= 30_000, `${left}`);
});

Deno.test("requestInit() ends the work of a Connect server at the deadline", async () => {
  const ended = Promise.withResolvers<unknown>();
  await using server = serveConnect((context) =>
    new Promise((_, reject) => {
      context.signal.addEventListener("abort", () => {
        ended.resolve(context.signal.reason);
        reject(context.signal.reason);
      });
    })
  );
  using ctx = withTimeout(background(), 100);
  // Either end notices first: the server's answer, or our own deadline.
  await call(ctx, server).then((reply) => reply.body?.cancel(), () => {});
  const { code } = ConnectError.from(await ended.promise);
  assert(code === Code.DeadlineExceeded || code === Code.Canceled, Code[code]);
});
