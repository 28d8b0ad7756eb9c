// serveTcp() on a Unix socket.

import {
  background,
  localAddrKey,
  serveTcp,
  type ServeTcpPathOptions,
  type TcpServer,
} from "@curfew/context";
import { assertEquals, assertThrows } from "@std/assert";
import { listenAt, SocketPath, test } from "../socket_path.ts";
import { encode, readToEnd } from "./connections.ts";

function dial(path: string): Promise<Deno.UnixConn> {
  return Deno.connect({ transport: "unix", path });
}

test("serveTcp() with a path answers, and removes the file of its socket at the end", async () => {
  using at = new SocketPath();
  const { path } = at;
  const server: TcpServer<Deno.UnixAddr> = serveTcp(
    background(),
    { path },
    async (ctx, conn) => {
      const addr = ctx.value(localAddrKey) as Deno.UnixAddr;
      await conn.write(encode(`${addr.path} ${conn.localAddr.path}`));
    },
  );
  assertEquals(server.addr, { transport: "unix", path });
  using conn = await dial(path);
  assertEquals(await readToEnd(conn), `${path} ${path}`);
  assertEquals((await server.shutdown()).handled, 1);
  assertThrows(() => Deno.lstatSync(path), Deno.errors.NotFound);
});

test("serveTcp() closes connections to a Unix socket when the grace period is over", async () => {
  using at = new SocketPath();
  const entered = Promise.withResolvers<void>();
  const server = serveTcp(
    background(),
    { path: at.path },
    async (_ctx, conn) => {
      entered.resolve();
      await conn.read(new Uint8Array(1));
    },
  );
  using conn = await dial(at.path);
  await entered.promise;
  const ended = server.shutdown({ grace: 0 });
  assertEquals(await conn.read(new Uint8Array(1)), null);
  const { forced, failed } = await ended;
  assertEquals([forced, failed], [1, 1]);
});

test("serveTcp() takes over the socket file that a killed process has left", async () => {
  using at = new SocketPath();
  at.leaveStale();
  await using _server = serveTcp(background(), { path: at.path }, () => {});
  using _conn = await dial(at.path);
});

test("serveTcp() leaves the socket alone that another process has put in the place of its own", async () => {
  using at = new SocketPath();
  const server = serveTcp(background(), { path: at.path }, () => {});
  Deno.removeSync(at.path);
  using theirs = listenAt(at.path);
  await server.shutdown();
  using _conn = await dial(at.path);
  using _accepted = await theirs.accept();
});

const inUse: [what: string, options: Partial<ServeTcpPathOptions>][] = [
  ["that something listens on", {}],
  ["that is stale if removeStale is false", { removeStale: false }],
];
for (const [what, options] of inUse) {
  test(`serveTcp() names a path ${what}`, () => {
    using at = new SocketPath();
    using stack = new DisposableStack();
    if (options.removeStale === false) at.leaveStale();
    else stack.use(listenAt(at.path));
    assertThrows(
      () => serveTcp(background(), { path: at.path, ...options }, () => {}),
      Deno.errors.AddrInUse,
      `serveTcp: ${at.path} is already in use`,
    );
    assertEquals(Deno.lstatSync(at.path).isSocket, true);
  });
}

test("serveTcp() throws a TypeError if it gets both tls and a path", () => {
  using at = new SocketPath();
  const options = { path: at.path, tls: { cert: "", key: "" } };
  assertThrows(
    () => serveTcp(background(), options as ServeTcpPathOptions, () => {}),
    TypeError,
    "serveTcp: there is no TLS on a Unix socket: leave out tls or path",
  );
});
