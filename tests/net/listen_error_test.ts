// Errors of servers that cannot listen.

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
import { assertEquals, assertStringIncludes, assertThrows } from "@std/assert";

/** Address that no machine has: it is reserved for documentation. */
const elsewhere = { hostname: "192.0.2.1", port: 0 };
const noPort = { hostname: "127.0.0.1", port: 70_000 };

type Serve = (ctx: Context, at: typeof elsewhere) => unknown;

const servers: [name: string, serve: Serve][] = [
  ["serveHttp", (ctx, at) => serveHttp(ctx, at, () => new Response())],
  ["serveTcp", (ctx, at) => serveTcp(ctx, at, () => {})],
  ["serveUdp", (ctx, at) => serveUdp(ctx, at, () => {})],
  ["udpPeers", (ctx, at) => udpPeers(ctx, at, () => {})],
];
for (const [name, serve] of servers) {
  Deno.test(`${name}() names an address that this machine does not have, and leaves ctx alone`, () => {
    using ctx = withCancel(background());
    assertThrows(
      () => serve(ctx, elsewhere),
      Deno.errors.AddrNotAvailable,
      `${name}: 192.0.2.1 is not an address of this machine`,
    );
    assertEquals([ctx.err, snapshot(ctx).children], [undefined, []]);
  });
  Deno.test(`${name}() names the address on which it cannot listen, and the reason`, () => {
    assertThrows(
      () => serve(background(), noPort),
      RangeError,
      `${name}: cannot listen on 127.0.0.1:70000: `,
    );
  });
}

Deno.test({
  name: "serveHttp() names the path on which it cannot listen, and the reason",
  ignore: Deno.build.os === "windows",
  fn() {
    const path = "/no/such/directory/http.sock";
    assertThrows(
      () => serveHttp(background(), { path }, () => new Response()),
      Deno.errors.NotFound,
      `serveHttp: cannot listen on ${path}: `,
    );
  },
});

Deno.test({
  name: "a missing permission is reported in Deno's words, which name the flag",
  permissions: { net: false },
  fn() {
    for (const [, serve] of servers) {
      const error = assertThrows(
        () => serve(background(), { hostname: "127.0.0.1", port: 0 }),
        Deno.errors.NotCapable,
      );
      assertStringIncludes(error.message, "--allow-net");
      assertEquals(error.message.includes("cannot listen"), false);
    }
  },
});
