import {
  background,
  type Context,
  serveHttp,
  serveTcp,
  serveUdp,
  udpPeers,
  udpRead,
} from "@curfew/context";
import { assertThrows } from "@std/assert";

type Server = (ctx: Context, options: never, handler: never) => unknown;

const servers: Server[] = [serveHttp, serveTcp, serveUdp, udpPeers];

for (const serve of servers) {
  Deno.test(`${serve.name}() says which argument is missing`, () => {
    for (const options of [undefined, null, 8000]) {
      assertThrows(
        () => serve(background(), options as never, (() => {}) as never),
        TypeError,
        `${serve.name}: the second argument must be an object with options`,
      );
    }
    assertThrows(
      () => serve(background(), { port: 0 } as never, undefined as never),
      TypeError,
      `${serve.name}: the third argument must be a function`,
    );
  });
}

Deno.test("udpRead() says that the handler is missing, and leaves the socket alone", () => {
  const hostname = "127.0.0.1";
  const conn = Deno.listenDatagram({ transport: "udp", hostname, port: 0 });
  assertThrows(
    () => udpRead(background(), conn, undefined as never),
    TypeError,
    "udpRead: the third argument must be a function",
  );
  conn.close();
});
