/**
 * The sockets where StatsD comes in.
 *
 * @module
 */

import {
  afterFunc,
  type CancelableContext,
  cause,
  type Context,
  serveTcp,
  serveUdp,
  sleep,
  softDone,
  udpRead,
  withCancel,
  withoutCancel,
  withTimeout,
} from "@curfew/context";
import { LineFramer } from "./frames.ts";
import type { Endpoint, Options } from "./options.ts";
import { parsePacket, type Sink } from "./parse.ts";

/** How lines can come in. */
export type Transport = "udp" | "tcp" | "unixgram";

/** What a socket has counted so far. */
export interface IntakeStats {
  /** Datagrams read, or connections accepted. */
  readonly received: number;
  /** Their bytes. */
  readonly bytes: number;
  /** Datagrams that could not be handled, or connections that were cut. */
  readonly failed: number;
  /** Datagrams that found the backlog full, or connections refused. */
  readonly dropped: number;
  /** Datagrams that the kernel had no room for, where it tells. */
  readonly kernelDropped: number | undefined;
  /** What is held now: datagrams in the backlog, or connections. */
  readonly pending: number;
}

/** A socket where StatsD comes in. */
export interface Intake extends AsyncDisposable {
  /** How it comes in. */
  readonly transport: Transport;
  /** Where. */
  readonly at: string;
  /** A copy. */
  readonly stats: IntakeStats;
  /** Whether it is closed, and everything handled. */
  readonly closed: boolean;
  /** Resolves when it is; never rejects. */
  readonly finished: Promise<void>;
}

/** Why the service ends by itself. */
export class SocketFailed extends Error {
  /** @param transport How StatsD came in. */
  constructor(transport: Transport) {
    super(`the socket of ${transport} has failed`);
    this.name = "SocketFailed";
  }
}

/** Why the service cannot begin; the message is for the user. */
export class CannotListen extends Error {
  /**
   * @param flag The flag that says where to listen.
   * @param at Where that is.
   * @param cause What has come of it.
   */
  constructor(flag: string, at: string, cause: unknown) {
    super(`${flag} ${at}: ${whatToDo(cause)}`, { cause });
    this.name = "CannotListen";
  }
}

function whatToDo(error: unknown): string {
  if (error instanceof Deno.errors.AddrInUse) {
    return "it is in use: choose another, or end what uses it";
  }
  if (error instanceof Deno.errors.NotFound) {
    return "there is no such directory: make it first";
  }
  const message = error instanceof Error ? error.message : String(error);
  // The package says which of its functions it was, and where.
  return message.replace(/^serve\w+: (cannot listen on \S+: )?/, "");
}

/**
 * Does what opens a socket.
 *
 * @throws {CannotListen} If that fails.
 */
export async function listening<T>(
  flag: string,
  at: string,
  open: () => T | Promise<T>,
): Promise<T> {
  try {
    return await open();
  } catch (error) {
    throw new CannotListen(flag, at, error);
  }
}

/** How long, in ms, a socket may take for what it holds when it is to close. */
export const INTAKE_GRACE = 5_000;

/** In ms: at the end everything is there that clients have sent when nothing has
 * come on any connection, twice in a row, for that long. */
const SILENCE = 20;

/** How long, in ms, that is waited for where a client never stops. */
const LONGEST_DRAIN = 4_000;

/** Of TCP; each may keep the start of one line. */
const MAX_CONNECTIONS = 1_000;

type OnError = (message: string) => void;

/** Opens the sockets of `options`, until `ctx` is done. */
export async function openIntakes(
  ctx: Context,
  { udp, tcp, unixgram }: Options,
  sink: Sink,
  onError: OnError,
): Promise<Intake[]> {
  await using opened = new AsyncDisposableStack();
  const intakes: Intake[] = [];
  const add = async (
    flag: string,
    at: string,
    open: () => Intake | Promise<Intake>,
  ) => {
    intakes.push(opened.use(await listening(flag, at, open)));
  };
  await add("--udp", hostPort(udp), () => openUdp(ctx, udp, sink, onError));
  if (tcp !== undefined) {
    await add("--tcp", hostPort(tcp), () => openTcp(ctx, tcp, sink, onError));
  }
  if (unixgram !== undefined) {
    await add("--unixgram", unixgram, async () => {
      await takeOver(unixgram);
      return openUnixgram(ctx, unixgram, sink, onError);
    });
  }
  // Where one cannot be opened, the others are closed.
  opened.move();
  return intakes;
}

function openUdp(
  ctx: Context,
  endpoint: Endpoint,
  sink: Sink,
  onError: OnError,
): Intake {
  const server = serveUdp(
    ctx,
    {
      ...endpoint,
      grace: INTAKE_GRACE,
      onError: (error) => onError(`udp: ${error}`),
    },
    (_ctx, { data }) => parsePacket(data, sink),
  );
  return new Opened("udp", hostPort(server.addr), server, () => {
    const { stats } = server;
    const { received, bytes, failed, dropped, kernelDropped, pending } = stats;
    return { received, bytes, failed, dropped, kernelDropped, pending };
  });
}

function openUnixgram(
  parent: Context,
  path: string,
  sink: Sink,
  onError: OnError,
): Intake {
  const ctx = withCancel(parent);
  const conn = Deno.listenDatagram({ transport: "unixpacket", path });
  const file = Deno.lstatSync(path);
  let received = 0;
  let bytes = 0;
  let failed = 0;
  const finished = udpRead<Deno.UnixAddr>(
    ctx,
    conn,
    (_ctx, { data }) => {
      received++;
      bytes += data.length;
      parsePacket(data, sink);
    },
    {
      grace: INTAKE_GRACE,
      onError: (error) => {
        failed++;
        onError(`unixgram: ${error}`);
      },
    },
  ).finally(() => {
    try {
      removeIfSame(path, file);
    } catch (error) {
      onError(`unixgram: ${error}`);
    }
  });
  const server = {
    finished,
    [Symbol.asyncDispose]: () => {
      ctx.cancel();
      return finished;
    },
  };
  return new Opened("unixgram", path, server, () => ({
    ...{ received, bytes, failed, dropped: 0, pending: 0 },
    // Who sends to a Unix socket waits until there is room.
    kernelDropped: 0,
  }));
}

/** Removes a socket that a killed process has left behind. */
async function takeOver(path: string): Promise<void> {
  const found = infoOf(path);
  if (found === undefined) return;
  if (!found.isSocket) {
    throw new Error("it is no socket: choose another path, or remove it");
  }
  if (!await isOpen(path)) Deno.removeSync(path);
}

/** What is at a path, if anything. */
function infoOf(path: string): Deno.FileInfo | undefined {
  try {
    return Deno.lstatSync(path);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return undefined;
    throw error;
  }
}

async function isOpen(path: string): Promise<boolean> {
  try {
    (await Deno.connect({ transport: "unix", path })).close();
    return true;
  } catch (error) {
    // A stream cannot connect to what takes datagrams, which says that it is open.
    return !(error instanceof Deno.errors.ConnectionRefused);
  }
}

/** Removes a file, unless there is another one by now: somebody may have taken
 * the path over. */
function removeIfSame(path: string, { dev, ino }: Deno.FileInfo): void {
  const found = infoOf(path);
  if (found?.dev === dev && found.ino === ino) Deno.removeSync(path);
}

function openTcp(
  parent: Context,
  endpoint: Endpoint,
  sink: Sink,
  onError: OnError,
): Intake {
  let bytes = 0;
  /** Connections accepted, and reads of all of them. */
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
      const framer = new LineFramer(sink);
      try {
        for await (const chunk of chunks(ctx, conn)) {
          arrivals++;
          bytes += chunk.length;
          framer.push(chunk);
        }
      } finally {
        // Also of a connection that was reset: it has been received.
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
 * A context that is done once `ctx` is and nothing arrives any more. All
 * connections are looked at as one: Deno reads about a hundred of them at a time,
 * and while it is busy with those the others only seem to be silent.
 */
function onceQuiet(ctx: Context, arrivals: () => number): CancelableContext {
  const quiet = withCancel(withoutCancel(ctx));
  afterFunc(ctx, async () => {
    using limit = withTimeout(quiet, LONGEST_DRAIN);
    // Of the first silence a timer may tell before what is there has been read.
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

/** What comes in on a connection, until its client closes it. Most never do: then
 * it is until the server wants to end. */
async function* chunks(
  ctx: Context,
  conn: Deno.Conn,
): AsyncGenerator<Uint8Array> {
  const buffer = new Uint8Array(16_384);
  let closed = false;
  softDone(ctx).then(() => {
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

interface Closable {
  readonly finished: Promise<unknown>;
  [Symbol.asyncDispose](): PromiseLike<unknown>;
}

/** What all of them have in common. */
class Opened implements Intake {
  readonly transport: Transport;
  readonly at: string;
  readonly finished: Promise<void>;
  readonly #server: Closable;
  readonly #read: () => IntakeStats;
  #closed = false;

  constructor(
    transport: Transport,
    at: string,
    server: Closable,
    read: () => IntakeStats,
  ) {
    this.transport = transport;
    this.at = at;
    this.#server = server;
    this.#read = read;
    // A failure has been reported to onError.
    this.finished = server.finished.then(() => {}, () => {}).then(() => {
      this.#closed = true;
    });
  }

  get stats(): IntakeStats {
    return this.#read();
  }

  get closed(): boolean {
    return this.#closed;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.allSettled([this.#server[Symbol.asyncDispose]()]);
  }
}

/** An address, or what a flag has said of one, as people write it. */
export function hostPort({ hostname, port }: Endpoint): string {
  return hostname.includes(":")
    ? `[${hostname}]:${port}`
    : `${hostname}:${port}`;
}
