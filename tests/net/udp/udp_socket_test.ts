// The loop that reads a socket and drains it: timers, buffers and send errors.

import {
  background,
  type DatagramHandler,
  serveUdp,
  udpPeers,
  udpRead,
  withCancel,
} from "@curfew/context";
import { assertEquals, assertRejects, assertStrictEquals } from "@std/assert";
import { observeTree } from "../../../context/tree_observer.ts";
import { realTimers } from "../../../net/real_timers.ts";
import { SocketPath, test } from "../socket_path.ts";
import { until } from "../turn.ts";
import {
  listenUdp,
  local,
  numbered,
  onListen,
  textOf,
  UdpClient,
} from "./udp_client.ts";

/** Holds the timers of the library back until the test fires them. */
class HeldTimers implements Disposable {
  readonly #real = { ...realTimers };
  readonly #held: (() => void)[] = [];

  constructor() {
    realTimers.setTimeout =
      ((f: () => void) => this.#held.push(f)) as unknown as typeof setTimeout;
    realTimers.clearTimeout = () => {};
  }

  get count(): number {
    return this.#held.length;
  }

  fire(): void {
    this.#held.shift()!();
  }

  [Symbol.dispose](): void {
    Object.assign(realTimers, this.#real);
  }
}

Deno.test("serveUdp() closes its socket after two silent intervals in a row", async () => {
  using timers = new HeldTimers();
  const ctx = withCancel(background());
  const server = serveUdp(ctx, { ...local, grace: 60_000 }, () => {});
  using client = new UdpClient(server.addr);
  ctx.cancel();
  await until(() => timers.count === 1);
  timers.fire();
  assertEquals(timers.count, 1, "closed after one interval");
  await client.send("late");
  await until(() => server.stats.received === 1);
  timers.fire();
  assertEquals(timers.count, 1, "closed after an interval that was not silent");
  timers.fire();
  assertEquals(timers.count, 1, "closed after one silent interval");
  timers.fire();
  assertEquals(timers.count, 0, "still open after two silent intervals");
  assertEquals((await server.finished).handled, 1);
});

Deno.test("udpRead() pauses 1 ms longer after each failed receive, up to 100 ms", async () => {
  const real = { ...realTimers };
  const pauses: number[] = [];
  using _restored = {
    [Symbol.dispose]: () => void Object.assign(realTimers, real),
  };
  realTimers.setTimeout = ((f: () => void, ms: number) => {
    pauses.push(ms);
    queueMicrotask(f);
  }) as unknown as typeof setTimeout;
  realTimers.clearTimeout = () => {};
  const ctx = withCancel(background());
  const conn = listenUdp();
  const { receive } = conn;
  let failures = 0;
  conn.receive = (buffer) => {
    if (failures === 103) {
      conn.receive = receive;
      return Promise.resolve([buffer!.slice(0, 1), conn.addr]);
    }
    failures++;
    return Promise.reject(new Deno.errors.ConnectionReset("an ICMP message"));
  };
  const stats = await udpRead(ctx, conn, () => ctx.cancel(), {
    onError: () => {},
  });
  assertEquals(stats.transientErrors, 103);
  assertEquals(pauses.slice(0, 103), [
    ...Array.from({ length: 101 }, (_, ms) => ms),
    100,
    100,
  ]);
});

/** Counts the receive buffers of the sockets that are opened meanwhile. */
class BufferCount implements Disposable {
  readonly #buffers = new Set<ArrayBufferLike>();
  readonly #patched = onListen((conn) => {
    const { receive } = conn;
    conn.receive = (buffer) => {
      this.#buffers.add(buffer!.buffer);
      return receive.call(conn, buffer);
    };
  });

  get count(): number {
    return this.#buffers.size;
  }

  [Symbol.dispose](): void {
    this.#patched[Symbol.dispose]();
  }
}

const buffersUsed: [how: string, handler: DatagramHandler, count: number][] = [
  ["returns", () => {}, 1],
  ["throws", () => {
    throw "no";
  }, 1],
  // One for the handler, one for the next datagram.
  ["resolves", () => Promise.resolve(), 2],
  ["rejects", () => Promise.reject("no"), 2],
];
for (const [how, handler, count] of buffersUsed) {
  Deno.test(`serveUdp() reuses the buffer of a handler that ${how}`, async () => {
    using buffers = new BufferCount();
    const options = { ...local, onError: () => {} };
    await using server = serveUdp(background(), options, handler);
    using client = new UdpClient(server.addr);
    for (let n = 1; n <= 4; n++) {
      await client.send("x");
      await until(() => server.stats.received === n);
      assertEquals(server.stats.pending, 0);
    }
    assertEquals(buffers.count, count);
  });
}

Deno.test("serveUdp() copies datagrams that wait, and reuses their buffer", async () => {
  using buffers = new BufferCount();
  const ctx = withCancel(background());
  const { promise: block, resolve: unblock } = Promise.withResolvers<void>();
  const server = serveUdp(ctx, local, () => block);
  using client = new UdpClient(server.addr);
  await client.send(...numbered(5));
  await until(() => server.stats.received === 5);
  assertEquals(buffers.count, 2);
  unblock();
  ctx.cancel();
  await server.finished;
});

Deno.test("udpPeers() copies datagrams, and reuses their buffer", async () => {
  using buffers = new BufferCount();
  await using server = udpPeers(
    background(),
    { ...local, grace: 0 },
    (ctx) => ctx.done,
  );
  using client = new UdpClient(server.addr);
  await client.send(...numbered(5));
  await until(() => server.stats.received === 5);
  assertEquals(buffers.count, 1);
});

Deno.test("serveUdp() keeps at most 32 buffers of a burst", async () => {
  using buffers = new BufferCount();
  const open: PromiseWithResolvers<void>[] = [];
  await using server = serveUdp(
    background(),
    { ...local, concurrency: 40, maxDatagramSize: 10 },
    () => {
      const handler = Promise.withResolvers<void>();
      open.push(handler);
      return handler.promise;
    },
  );
  using client = new UdpClient(server.addr);
  for (const _burst of [1, 2]) {
    await client.send(...numbered(40));
    await until(() => open.length === 40);
    for (const handler of open.splice(0)) handler.resolve();
  }
  // The socket holds one all the time.
  assertEquals(buffers.count, 1 + 40 + (40 - 32));
});

Deno.test("serveUdp() starts the next handler when one rejects", async () => {
  const ctx = withCancel(background());
  const first = Promise.withResolvers<void>();
  const server = serveUdp(
    ctx,
    { ...local, onError: () => {} },
    (_ctx, datagram) => textOf(datagram) === "bad" ? first.promise : undefined,
  );
  using client = new UdpClient(server.addr);
  await client.send("bad", "good");
  await until(() => server.stats.received === 2);
  first.reject("no");
  await until(() => server.stats.handled === 1);
  ctx.cancel();
  assertEquals((await server.finished).failed, 1);
});

Deno.test("serveUdp() has closed its socket by the time it reports that it failed", async () => {
  let isOpen = true;
  const failure = new Deno.errors.NotConnected("the network is gone");
  using _patched = onListen((conn) => {
    const { close } = conn;
    conn.receive = () => Promise.reject(failure);
    conn.close = () => {
      isOpen = false;
      close.call(conn);
    };
  });
  const reports: [error: unknown, isOpen: boolean][] = [];
  const onError = (error: unknown) => reports.push([error, isOpen]);
  const server = serveUdp(background(), { ...local, onError }, () => {});
  const error = await assertRejects(() => server.finished);
  assertEquals(reports, [[error, false]]);
});

test("serveUdp() with a path leaves nothing on its contexts for datagrams that are handled", async () => {
  using at = new SocketPath();
  await using server = serveUdp(
    background(),
    { path: at.path },
    () => Promise.resolve(),
  );
  const live = new Set<unknown>();
  using _observed = observeTree({
    created: (node) => live.add(node),
    ended: (node) => live.delete(node),
    described: () => {},
  });
  const client = Deno.listenDatagram({
    transport: "unixpacket",
    path: `${at.path}.client`,
  });
  for (let n = 0; n < 5; n++) await client.send(new Uint8Array(1), server.addr);
  await until(() => server.stats.handled === 5);
  client.close();
  assertEquals(live.size, 0);
});

test("serveUdp() with a path reports that it cannot remove the file of its socket", async () => {
  using at = new SocketPath();
  const errors: unknown[] = [];
  const onError = (error: unknown) => errors.push(error);
  const server = serveUdp(background(), { path: at.path, onError }, () => {});
  const denied = new Deno.errors.PermissionDenied("no");
  const { removeSync } = Deno;
  Deno.removeSync = () => {
    throw denied;
  };
  try {
    await server.shutdown();
  } finally {
    Deno.removeSync = removeSync;
  }
  assertEquals(errors, [denied]);
});

const udp = { transport: "udp", port: 1 } as const;
const tooLong = Object.assign(new Error("Message too long"), {
  code: "EMSGSIZE",
});
const unreachable = new Error("Network is unreachable");

const sendErrors: [
  what: string,
  addr: Deno.Addr,
  failure: Error,
  message: string,
][] = [
  [
    "says how much a datagram takes over IPv4",
    { ...udp, hostname: "192.0.2.7" },
    tooLong,
    "udpRead: 5 bytes are too long to send; a datagram takes 65507 at most",
  ],
  [
    "says how much a datagram takes over IPv6",
    { ...udp, hostname: "2001:db8::7" },
    tooLong,
    "udpRead: 5 bytes are too long to send; a datagram takes 65527 at most",
  ],
  [
    "says that the send buffer of a Unix socket is smaller",
    { transport: "unixpacket", path: "/run/client.sock" },
    tooLong,
    "udpRead: 5 bytes are too long to send; the send buffer of the socket is smaller",
  ],
  [
    "passes on other errors of a UDP socket",
    { ...udp, hostname: "192.0.2.7" },
    unreachable,
    unreachable.message,
  ],
  [
    "passes on other errors of a Unix socket",
    { transport: "unixpacket", path: "/run/client.sock" },
    unreachable,
    unreachable.message,
  ],
];
for (const [what, addr, failure, message] of sendErrors) {
  Deno.test(`reply() ${what}`, async () => {
    const ctx = withCancel(background());
    const conn = listenUdp();
    const { receive } = conn;
    conn.receive = (buffer) => {
      conn.receive = receive;
      return Promise.resolve([buffer!.slice(0, 1), addr]);
    };
    conn.send = () => Promise.reject(failure);
    const errors: Error[] = [];
    await udpRead(ctx, conn, async (_ctx, datagram) => {
      ctx.cancel();
      const reply = datagram.reply(new Uint8Array(5));
      errors.push(await assertRejects(() => reply, Error));
    });
    const [error] = errors;
    assertEquals(error?.message, message);
    if (failure === tooLong) assertStrictEquals(error?.cause, failure);
    else assertStrictEquals(error, failure);
  });
}
