/**
 * Sockets that take StatsD.
 *
 * @module
 */

import {
  afterFunc,
  type CancelableContext,
  cause,
  type Context,
  draining,
  serveTcp,
  serveUdp,
  sleep,
  type UdpServer,
  withCancel,
  withoutCancel,
  withTimeout,
} from "@curfew/context";
import { LineFramer } from "./frames.ts";
import type { Endpoint, Options } from "./options.ts";
import { parsePacket, type Sink, type TagSyntax, tagSyntax } from "./parse.ts";

/** Transport of StatsD lines. */
export type Transport = "udp" | "tcp" | "unixgram";

/** Counters of a socket. */
export interface IntakeStats {
  /** Number of datagrams read, or connections accepted. */
  readonly received: number;
  /** Their size in bytes. */
  readonly bytes: number;
  /** Number of datagrams that could not be handled, or connections that broke. */
  readonly failed: number;
  /** Number of datagrams that found the backlog full, or connections refused. */
  readonly dropped: number;
  /** Number of datagrams that the kernel dropped; undefined if unknown. */
  readonly kernelDropped: number | undefined;
  /** Number of datagrams in the backlog, or open connections. */
  readonly pending: number;
}

/** Socket that takes StatsD. */
export interface Intake {
  /** Transport of the socket. */
  readonly transport: Transport;
  /** Address or path of the socket. */
  readonly at: string;
  /** Copy of the current counters. */
  readonly stats: IntakeStats;
  /** Reason why {@link IntakeStats.kernelDropped} is unknown, if it is. */
  readonly kernelDropsUnknown: string | undefined;
  /** True once the socket is closed and everything is handled. */
  readonly closed: boolean;
  /** Resolves at that moment. Rejects if the socket failed. */
  readonly finished: Promise<void>;
}

/** Failure of a socket that ends the service. */
export class SocketFailed extends Error {
  /**
   * @param transport Transport of the socket.
   * @param cause Error of the socket.
   */
  constructor(transport: Transport, cause: unknown) {
    super(`the socket of ${transport} has failed`, { cause });
    this.name = "SocketFailed";
  }
}

/** Failure to listen, with a message for the user. */
export class CannotListen extends Error {
  /**
   * @param flag Flag of the address.
   * @param at The address.
   * @param cause Error of the attempt.
   */
  constructor(flag: string, at: string, cause: unknown) {
    super(`${flag} ${at}: ${whatToDo(cause)}`, { cause });
    this.name = "CannotListen";
  }
}

function whatToDo(error: unknown): string {
  if (error instanceof Deno.errors.AddrInUse) {
    return "it is in use: choose another one, or free it first";
  }
  if (error instanceof Deno.errors.NotFound) {
    return "there is no such directory: create it first";
  }
  const message = error instanceof Error ? error.message : String(error);
  // The package's message begins with its function and the address.
  return message.replace(/^serve\w+: (cannot listen on \S+: )?/, "");
}

/**
 * Calls `open`, which opens a socket.
 *
 * @throws {CannotListen} If it fails.
 */
export function listening<T>(flag: string, at: string, open: () => T): T {
  try {
    return open();
  } catch (error) {
    throw new CannotListen(flag, at, error);
  }
}

/** Grace period of the sockets, in ms. */
export const INTAKE_GRACE = 5_000;

/** Length of a silence, in ms. Everything that clients have sent over TCP has been
 * read after two silences in a row on all connections. */
const SILENCE = 20;

/** Maximum time to wait for silence, in ms, since a client may never stop. */
const LONGEST_DRAIN = 4_000;

/** Maximum number of TCP connections; each may hold the start of one line. */
const MAX_CONNECTIONS = 1_000;

type OnError = (message: string) => void;

/**
 * Opens the sockets of `options`, which drain when `ctx` is done.
 *
 * @throws {CannotListen} If one of them cannot be opened. The caller ends `ctx`,
 * which closes the others.
 */
export function openIntakes(
  ctx: Context,
  { udp, tcp, unixgram, tagStyle }: Options,
  sink: Sink,
  onError: OnError,
): Intake[] {
  const lines = { sink, syntax: tagSyntax(tagStyle) };
  const intakes: Intake[] = [];
  const add = (flag: string, at: string, open: () => Intake) => {
    intakes.push(listening(flag, at, open));
  };
  add("--udp", hostPort(udp), () => openUdp(ctx, udp, lines, onError));
  if (tcp !== undefined) {
    add("--tcp", hostPort(tcp), () => openTcp(ctx, tcp, lines, onError));
  }
  if (unixgram !== undefined) {
    add("--unixgram", unixgram, () => {
      return openUnixgram(ctx, unixgram, lines, onError);
    });
  }
  return intakes;
}

/** Destination of the lines of all sockets. */
interface Lines {
  readonly sink: Sink;
  readonly syntax: TagSyntax;
}

function openUdp(
  ctx: Context,
  endpoint: Endpoint,
  { sink, syntax }: Lines,
  onError: OnError,
): Intake {
  const options = {
    ...endpoint,
    grace: INTAKE_GRACE,
    onError: (error: unknown) => onError(`udp: ${error}`),
  };
  const server = serveUdp(ctx, options, (_ctx, { data }) => {
    parsePacket(data, sink, syntax);
  });
  return new Opened("udp", hostPort(server.addr), server, () => {
    return datagramStats(server);
  });
}

function openUnixgram(
  ctx: Context,
  path: string,
  { sink, syntax }: Lines,
  onError: OnError,
): Intake {
  const options = {
    path,
    grace: INTAKE_GRACE,
    onError: (error: unknown) => onError(`unixgram: ${error}`),
  };
  const server = serveUdp(ctx, options, (_ctx, { data }) => {
    parsePacket(data, sink, syntax);
  });
  return new Opened("unixgram", path, server, () => ({
    ...datagramStats(server),
    // The sender of a Unix datagram waits until there is room.
    kernelDropped: 0,
  }));
}

function datagramStats<Addr extends Deno.NetAddr | Deno.UnixAddr>(
  { stats }: UdpServer<Addr>,
): IntakeStats {
  const { received, bytes, failed, dropped, kernelDropped, pending } = stats;
  return { received, bytes, failed, dropped, kernelDropped, pending };
}

function openTcp(
  parent: Context,
  endpoint: Endpoint,
  { sink, syntax }: Lines,
  onError: OnError,
): Intake {
  let bytes = 0;
  /** Number of connections accepted, plus reads on all of them. */
  let arrivals = 0;
  const ctx = onceQuiet(parent, () => arrivals);
  const server = serveTcp(
    ctx,
    {
      ...endpoint,
      maxConnections: MAX_CONNECTIONS,
      grace: INTAKE_GRACE - LONGEST_DRAIN,
      onError: (error) => onError(`tcp: ${error}`),
    },
    async (ctx, conn) => {
      arrivals++;
      const framer = new LineFramer(sink, syntax);
      try {
        for await (const chunk of chunks(ctx, conn)) {
          arrivals++;
          bytes += chunk.length;
          framer.push(chunk);
        }
      } finally {
        // The rest of a connection that was reset has been received, too.
        framer.end();
      }
    },
  );
  return new Opened("tcp", hostPort(server.addr), server, () => {
    const { accepted, open, failed, refused } = server.stats;
    return {
      ...{ received: accepted, bytes, pending: open, dropped: refused },
      ...{ failed, kernelDropped: undefined },
    };
  });
}

/**
 * Returns a context that is done once `ctx` is done and nothing arrives on any
 * connection. It watches all connections together: Deno reads about a hundred at a
 * time, and meanwhile the others only look silent.
 */
function onceQuiet(ctx: Context, arrivals: () => number): CancelableContext {
  const quiet = withCancel(withoutCancel(ctx));
  afterFunc(ctx, async () => {
    using limit = withTimeout(quiet, LONGEST_DRAIN);
    // The timer of the first silence may fire before data that has arrived is read.
    for (let silences = 0, before = arrivals(); silences < 2;) {
      await sleep(limit, SILENCE).catch(() => {});
      if (limit.err !== undefined) break;
      silences = arrivals() === before ? silences + 1 : 0;
      before = arrivals();
    }
    quiet.cancel(cause(ctx));
  });
  return quiet;
}

/** Yields the chunks of a connection until its client closes it or the server
 * drains, since most clients never close theirs. */
async function* chunks(
  ctx: Context,
  conn: Deno.Conn,
): AsyncGenerator<Uint8Array> {
  const buffer = new Uint8Array(16_384);
  let closed = false;
  afterFunc(draining(ctx), () => {
    closed = true;
    conn.close();
  });
  for (;;) {
    const length = await conn.read(buffer).catch((error) => {
      if (closed) return null;
      throw error;
    });
    if (length === null) return;
    yield buffer.subarray(0, length);
  }
}

class Opened implements Intake {
  readonly transport: Transport;
  readonly at: string;
  readonly finished: Promise<void>;
  readonly #read: () => IntakeStats;
  #closed = false;

  constructor(
    transport: Transport,
    at: string,
    { finished }: { readonly finished: Promise<unknown> },
    read: () => IntakeStats,
  ) {
    this.transport = transport;
    this.at = at;
    this.#read = read;
    const close = () => {
      this.#closed = true;
    };
    this.finished = finished.finally(close).then(() => {});
    // The owner may look at it late; a failure is reported to onError as well.
    this.finished.catch(() => {});
  }

  get stats(): IntakeStats {
    return this.#read();
  }

  get kernelDropsUnknown(): string | undefined {
    if (this.stats.kernelDropped !== undefined) return undefined;
    if (this.transport === "tcp") return "TCP resends what the kernel drops";
    return Deno.build.os === "linux"
      ? "unknown without --allow-all, since Deno guards /proc/net/udp"
      : "unknown, since only Linux counts them";
  }

  get closed(): boolean {
    return this.#closed;
  }
}

/** Formats an address as HOST:PORT. */
export function hostPort({ hostname, port }: Endpoint): string {
  return hostname.includes(":")
    ? `[${hostname}]:${port}`
    : `${hostname}:${port}`;
}
