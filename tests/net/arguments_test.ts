import {
  background,
  type Context,
  dialTcp,
  requestContext,
  serveHttp,
  serveTcp,
  serveUdp,
  udpPeers,
  udpRead,
} from "@curfew/context";
import { assertRejects, assertThrows } from "@std/assert";

type Server = (ctx: Context, options: never, handler: never) => unknown;

const servers: Server[] = [serveHttp, serveTcp, serveUdp, udpPeers];

for (const serve of servers) {
  Deno.test(`${serve.name}() names the argument that is missing`, () => {
    for (const options of [undefined, null, 8000]) {
      assertThrows(
        () => serve(background(), options as never, (() => {}) as never),
        TypeError,
        `${serve.name}: expected an object with options, got `,
      );
    }
    assertThrows(
      () => serve(background(), { port: 0 } as never, undefined as never),
      TypeError,
      `${serve.name}: the third argument must be a function`,
    );
  });
}

for (const serve of servers) {
  Deno.test(`${serve.name}() throws a TypeError without a context`, () => {
    assertThrows(
      () => serve(null as never, { port: 0 } as never, (() => {}) as never),
      TypeError,
      `${serve.name}: expected a context, got null`,
    );
  });
}

for (const serve of [serveHttp, serveTcp, serveUdp] as Server[]) {
  for (const [path, shown] of [["", '""'], [null, "null"]]) {
    Deno.test(`${serve.name}() throws a TypeError if path is ${shown}`, () => {
      assertThrows(
        () => serve(background(), { path } as never, (() => {}) as never),
        TypeError,
        `${serve.name}: path must be that of a socket, got ${shown}`,
      );
    });
  }
}

for (const [idleTimeout, shown] of [[0, "0"], [NaN, "NaN"], ["5", '"5"']]) {
  Deno.test(`serveTcp() throws a RangeError if idleTimeout is ${shown}`, () => {
    assertThrows(
      () => serveTcp(background(), { port: 0, idleTimeout } as never, () => {}),
      RangeError,
      `serveTcp: idleTimeout must be a number of ms above 0, got ${shown}`,
    );
  });
}

Deno.test("udpPeers() accepts the limits of its ranges", async () => {
  const least = { maxPeers: 1, backlog: 1, maxDatagramSize: 1, grace: 0 };
  const most = { maxDatagramSize: 65_507, idleTimeout: Infinity };
  for (const options of [least, most]) {
    await using _server = udpPeers(
      background(),
      { hostname: "127.0.0.1", port: 0, ...options },
      () => {},
    );
  }
});

for (const serve of servers) {
  Deno.test(`${serve.name}() quotes a string that is given instead of a number`, () => {
    assertThrows(
      () =>
        serve(
          background(),
          { port: 0, grace: "5" } as never,
          (() => {}) as never,
        ),
      RangeError,
      `${serve.name}: grace must be a number, 0 or more, got "5"`,
    );
  });
}

for (const serve of [serveTcp, serveUdp, udpPeers] as Server[]) {
  for (const [port, shown] of [[undefined, "undefined"], ["80", '"80"']]) {
    Deno.test(`${serve.name}() throws a TypeError if its port is ${shown}`, () => {
      assertThrows(
        () =>
          serve(
            background(),
            { hostname: "127.0.0.1", port } as never,
            (() => {}) as never,
          ),
        TypeError,
        `${serve.name}: port must be a number, got ${shown}; 0 takes a free port`,
      );
    });
  }
}

Deno.test("udpRead() throws a TypeError without a handler, and leaves the socket open", () => {
  const hostname = "127.0.0.1";
  const conn = Deno.listenDatagram({ transport: "udp", hostname, port: 0 });
  assertThrows(
    () => udpRead(background(), conn, undefined as never),
    TypeError,
    "udpRead: the third argument must be a function",
  );
  conn.close();
});

Deno.test("udpRead() names the argument that is wrong", () => {
  const hostname = "127.0.0.1";
  using stack = new DisposableStack();
  const conn = Deno.listenDatagram({ transport: "udp", hostname, port: 0 });
  stack.defer(() => conn.close());
  const handler = () => {};
  assertThrows(
    () => udpRead(null as never, conn, handler),
    TypeError,
    "udpRead: expected a context, got null",
  );
  for (const wrong of [null, {}, "127.0.0.1:8125"]) {
    assertThrows(
      () => udpRead(background(), wrong as never, handler),
      TypeError,
      "udpRead: the second argument must be a Deno.DatagramConn",
    );
  }
});

for (const options of [undefined, null, 8000]) {
  Deno.test(`dialTcp() throws a TypeError if its options are ${options}`, async () => {
    await assertRejects(
      () => dialTcp(background(), options as never),
      TypeError,
      "dialTcp: expected an object with options, got ",
    );
  });
}

for (const request of [undefined, null, "/"]) {
  Deno.test(`requestContext(${JSON.stringify(request)}) throws a TypeError`, () => {
    assertThrows(
      () => requestContext(request as never),
      TypeError,
      "requestContext: expected the request that serveHttp passed to its handler",
    );
  });
}

for (const tls of [null, {}, { cert: "" }, { key: "" }, { cert: 1, key: "" }]) {
  Deno.test(`serveTcp() throws a TypeError if tls is ${JSON.stringify(tls)}`, () => {
    assertThrows(
      () => serveTcp(background(), { port: 0, tls } as never, () => {}),
      TypeError,
      "serveTcp: tls takes a cert and a key, both as PEM text",
    );
  });
}
