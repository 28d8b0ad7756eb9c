// An address that this machine does not have: one that is kept for documents.

import {
  background,
  type Context,
  serveHttp,
  serveTcp,
  serveUdp,
  snapshot,
  udpPeers,
  withCancel,
} from "@curfew/context";
import { assertEquals, assertThrows } from "@std/assert";

const elsewhere = { hostname: "192.0.2.1", port: 0 };

const servers: [name: string, serve: (ctx: Context) => unknown][] = [
  ["serveHttp", (ctx) => serveHttp(ctx, elsewhere, () => new Response())],
  ["serveTcp", (ctx) => serveTcp(ctx, elsewhere, () => {})],
  ["serveUdp", (ctx) => serveUdp(ctx, elsewhere, () => {})],
  ["udpPeers", (ctx) => udpPeers(ctx, elsewhere, () => {})],
];
for (const [name, serve] of servers) {
  Deno.test(`${name}() says which address is not of this machine, and leaves ctx alone`, () => {
    using ctx = withCancel(background());
    assertThrows(
      () => serve(ctx),
      Deno.errors.AddrNotAvailable,
      `${name}: 192.0.2.1 is not an address of this machine`,
    );
    assertEquals([ctx.err, snapshot(ctx).children], [undefined, []]);
  });
}
