/** Outgoing TCP connections. */

import { assertContext } from "../../context/assert_context.ts";
import { assertOptions } from "../../context/assert_options.ts";
import type { Context } from "../../context/context.ts";
import { assertDeno, assertPort } from "../arguments.ts";
import { closeOnDone } from "../close_on_done.ts";
import { hostPort } from "../host_port.ts";

/** Options for {@linkcode dialTcp}. */
export interface DialTcpOptions {
  /** Port to connect to. */
  port: number;
  /** Name or address to connect to; `127.0.0.1` by default. */
  hostname?: string;
}

/** Options for {@linkcode dialTcp} with TLS. */
export interface DialTlsOptions extends DialTcpOptions {
  /** Options for TLS. The certificate must be valid for `hostname`. */
  tls: {
    /** Certificates to trust in addition to the system's, as PEM text. */
    caCerts?: string[];
    /** Protocols to offer (ALPN), in order of preference. */
    alpnProtocols?: string[];
  };
}

/**
 * Opens a connection, and with the option `tls` performs the handshake, until `ctx`
 * is done. `Deno.connectTls` would not interrupt the handshake. An open connection
 * does not depend on `ctx`; use `closeOnDone(ctx, conn)` if it should.
 *
 * Deno keeps the socket of an interrupted handshake until the peer closes it. The
 * process does not wait for that.
 *
 * Follows Go's `net.Dialer.DialContext`. Needs the permission `--allow-net`.
 *
 * @param ctx Context that limits the time to connect.
 * @param options Address, and options for TLS.
 * @returns The connection. Rejects with `ctx.err` if `ctx` is done first.
 * @throws {TypeError} If `ctx` is not a context, `options` is not an object, or the
 * port is not a number.
 * @throws {RangeError} If the port is out of range.
 * @throws {Deno.errors.ConnectionRefused} If nothing listens at the address.
 *
 * @example One second to connect, and no limit afterwards
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
 * Opens a connection without TLS.
 *
 * @param ctx Context that limits the time to connect.
 * @param options Address.
 * @returns The connection. Rejects with `ctx.err` if `ctx` is done first.
 */
export function dialTcp(
  ctx: Context,
  options: DialTcpOptions,
): Promise<Deno.TcpConn>;
export async function dialTcp(
  ctx: Context,
  options: DialTcpOptions | DialTlsOptions,
): Promise<Deno.TcpConn | Deno.TlsConn> {
  assertDeno("dialTcp");
  assertContext("dialTcp", ctx);
  assertOptions("dialTcp", options);
  const { port, hostname = "127.0.0.1" } = options;
  assertPort("dialTcp", port, "");
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

/** Performs the TLS handshake on `conn`. */
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
    closeIfOpen(conn);
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

/** Closes `conn`, which a `Deno.startTls` that has failed may have closed already. */
function closeIfOpen(conn: Deno.TcpConn): void {
  try {
    conn.close();
  } catch (error) {
    if (!(error instanceof Deno.errors.BadResource)) throw error;
  }
}

/** Turns a connect error into one that names the address. */
function dialError(error: unknown, hostname: string, port: number): unknown {
  const at = hostPort(hostname, port);
  if (error instanceof Deno.errors.ConnectionRefused) {
    return new Deno.errors.ConnectionRefused(
      `dialTcp: nothing listens at ${at}`,
      { cause: error },
    );
  }
  if (!(error instanceof Error)) return error;
  // A failed look-up has no class of its own; a bad port is one of the other two.
  const Same = [Error, TypeError, RangeError].find((Class) =>
    Class === error.constructor
  );
  if (Same === undefined) return error;
  return new Same(`dialTcp: cannot connect to ${at}: ${error.message}`, {
    cause: error,
  });
}
