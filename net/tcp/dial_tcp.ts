/** A TCP connection to somebody else. */

import type { Context } from "../../context/context.ts";
import { assertContext } from "../../context/tree.ts";
import { assertOptions } from "../arguments.ts";
import { closeOnDone } from "../close_on_done.ts";
import { hostPort } from "../host_port.ts";

/** Where {@linkcode dialTcp} connects to. */
export interface DialTcpOptions {
  /** The port. */
  port: number;
  /** A name or an address; `127.0.0.1` by default. */
  hostname?: string;
}

/** Where {@linkcode dialTcp} connects to by TLS. */
export interface DialTlsOptions extends DialTcpOptions {
  /** For TLS. The certificate must be for `hostname`. */
  tls: {
    /** Certificates to trust besides the system's, as PEM text. */
    caCerts?: string[];
    /** Protocols to offer (ALPN), in order of preference. */
    alpnProtocols?: string[];
  };
}

/**
 * Connects until `ctx` is done: `Deno.connect`, and the handshake of TLS where
 * that is asked for, which Deno's own `connectTls` does not interrupt. The
 * connection itself does not depend on `ctx`: once it is there, the end of `ctx`
 * does it no harm. `closeOnDone(ctx, conn)` makes it depend.
 *
 * The socket of a handshake that was broken off is kept by Deno until the peer
 * closes it; the process does not wait for that.
 *
 * Follows Go's `net.Dialer.DialContext`. Needs the permission `--allow-net`.
 *
 * @param ctx Until when to try.
 * @param options Where to.
 * @returns The connection. Rejects with `ctx.err` once `ctx` is done.
 * @throws {TypeError} If `ctx` is not a context.
 * @throws {Deno.errors.ConnectionRefused} If nobody listens there.
 *
 * @example A second to connect, as long as it takes to talk
 * ```ts
 * import { background, type Context, dialTcp, withTimeout } from "@curfew/context";
 *
 * async function connect(ctx: Context, addr: Deno.NetAddr): Promise<Deno.TcpConn> {
 *   using soon = withTimeout(ctx, 1000);
 *   return await dialTcp(soon, addr);
 * }
 *
 * using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
 * using conn = await connect(background(), listener.addr);
 * using accepted = await listener.accept();
 * await conn.write(new TextEncoder().encode("hello"));
 * await accepted.read(new Uint8Array(5));
 * ```
 */
export function dialTcp(
  ctx: Context,
  options: DialTlsOptions,
): Promise<Deno.TlsConn>;
/**
 * The same without TLS.
 *
 * @param ctx Until when to try.
 * @param options Where to.
 * @returns The connection.
 */
export function dialTcp(
  ctx: Context,
  options: DialTcpOptions,
): Promise<Deno.TcpConn>;
export async function dialTcp(
  ctx: Context,
  options: DialTcpOptions | DialTlsOptions,
): Promise<Deno.TcpConn | Deno.TlsConn> {
  assertContext("dialTcp", ctx);
  assertOptions("dialTcp", options);
  const { port, hostname = "127.0.0.1" } = options;
  const conn = await connect(ctx, hostname, port);
  return "tls" in options && options.tls !== undefined
    ? await secure(ctx, conn, hostname, options.tls)
    : conn;
}

async function connect(
  ctx: Context,
  hostname: string,
  port: number,
): Promise<Deno.TcpConn> {
  let conn: Deno.TcpConn;
  try {
    conn = await Deno.connect({ hostname, port, signal: ctx.signal });
  } catch (error) {
    throw dialError(error, hostname, port);
  }
  if (ctx.err === undefined) return conn;
  conn.close();
  throw ctx.err;
}

/** `conn` as one of TLS. */
async function secure(
  ctx: Context,
  conn: Deno.TcpConn,
  hostname: string,
  tls: DialTlsOptions["tls"],
): Promise<Deno.TlsConn> {
  let secured: Deno.TlsConn;
  try {
    secured = await Deno.startTls(conn, { hostname, ...tls });
  } catch (error) {
    conn.close();
    throw error;
  }
  const stop = closeOnDone(ctx, secured);
  try {
    await secured.handshake();
  } catch (error) {
    if (stop()) secured.close();
    throw ctx.err ?? error;
  }
  if (stop()) return secured;
  throw ctx.err;
}

/** The error of a connect that has failed, with the address that it was to. */
function dialError(error: unknown, hostname: string, port: number): unknown {
  const at = hostPort(hostname, port);
  if (error instanceof Deno.errors.ConnectionRefused) {
    return new Deno.errors.ConnectionRefused(
      `dialTcp: nobody listens at ${at}`,
      { cause: error },
    );
  }
  // That a name cannot be looked up has no class of its own, and does not name it.
  if (error instanceof Error && error.constructor === Error) {
    return new Error(`dialTcp: cannot connect to ${at}: ${error.message}`, {
      cause: error,
    });
  }
  return error;
}
