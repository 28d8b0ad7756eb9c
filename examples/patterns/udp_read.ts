/**
 * Reads a UDP socket with `udpRead(ctx, conn)` until a signal comes or the socket
 * fails.
 *
 * - In Go: derive a local ctx; start a goroutine that loops over `conn.Read` and
 *   calls the local `cancel` on an error; start another that waits for
 *   `<-ctx.Done()` and closes the conn, or `Read` would block forever; wait for
 *   both with a `sync.WaitGroup`.
 * - Here that is one call. If the socket fails, it rejects and leaves the caller's
 *   context alone. When its context is done, it first reads what the kernel still
 *   holds and waits for the last handler; then it resolves with counters that add
 *   up.
 *
 *     deno run --unstable-net --allow-net=127.0.0.1 examples/patterns/udp_read.ts
 *
 * ```text
 * main: listening on udp 127.0.0.1:1935
 * read: hello 1
 * read: hello 2
 * read: hello 3
 * sender: closes the socket
 * main: udpRead: the socket at 127.0.0.1:1935 was closed by other code
 * main: my own context is open
 * ```
 *
 * By default, other code closes the socket after three datagrams. With
 * `--until-signal`, Ctrl-C ends the program. `--port` sets the port; 0 takes a free
 * one.
 *
 * @module
 */

import {
  cause,
  type Context,
  every,
  group,
  main,
  udpRead,
} from "@curfew/context";
import { parseArgs } from "@std/cli";

function listen(port: number): Deno.DatagramConn {
  try {
    const hostname = "127.0.0.1";
    return Deno.listenDatagram({ transport: "udp", hostname, port });
  } catch (error) {
    if (!(error instanceof Deno.errors.AddrInUse)) throw error;
    throw new Error(`no socket on port ${port}; --port takes another`, {
      cause: error,
    });
  }
}

/** Sends a datagram every second. */
async function send(ctx: Context, to: Deno.Addr): Promise<void> {
  const conn = listen(0);
  let n = 0;
  try {
    for await (const _ of every(ctx, second)) {
      await conn.send(new TextEncoder().encode(`hello ${++n}`), to);
    }
  } finally {
    conn.close();
  }
}

async function read(ctx: Context): Promise<void> {
  const conn = listen(port);
  const { hostname, port: bound } = conn.addr as Deno.NetAddr;
  console.log(`main: listening on udp ${hostname}:${bound}`);
  await using sender = group(ctx);
  sender.go((ctx) => send(ctx, conn.addr));

  try {
    const stats = await udpRead(ctx, conn, (_ctx, { data }) => {
      const text = new TextDecoder().decode(data);
      console.log(`read: ${text}`);
      if (flags["until-signal"] || text !== "hello 3") return;
      console.log("sender: closes the socket");
      conn.close();
    });
    console.log(`main: received ${stats.received}, handled ${stats.handled}`);
  } catch (error) {
    console.log(`main: ${(error as Error).message}`);
  }
  console.log(`main: my own context is ${cause(ctx) ?? "open"}`);
}

function refuse(message: string): never {
  console.error(message);
  Deno.exit(2);
}

const flags = parseArgs(Deno.args, {
  boolean: ["until-signal", "fast"],
  string: ["port"],
  default: { port: "1935" },
  unknown: (arg) =>
    refuse(
      `unknown argument "${arg}"; there are --port, --until-signal and --fast`,
    ),
});
const port = Number(flags.port);
if (!/^\d+$/.test(flags.port) || port > 65_535) {
  refuse(`--port must be a number from 0 to 65535, got "${flags.port}"`);
}
/** A second in ms; shorter with `--fast`. */
const second = flags.fast ? 20 : 1_000;

await main(read);
