/**
 * The queries and replies on one TCP connection.
 *
 * @module
 */

import {
  type Context,
  draining,
  group,
  isCanceled,
  orDone,
  withTimeout,
} from "@curfew/context";
import type { Desk } from "./desk.ts";
import { frame, readMessage } from "./wire.ts";

/** Queries of one connection in flight at once. Until one ends, no more is read. */
const CONNECTION_QUERIES = 16;
/** Largest query in bytes. */
const MAX_QUERY = 4_096;

/** The part of a connection that {@link converse} uses. */
export type Line = Pick<
  Deno.Conn<Deno.NetAddr>,
  "read" | "writable" | "remoteAddr"
>;

/**
 * Serves a connection: replies go out as they are ready (RFC 7766). Each query has
 * to arrive within `patience` ms of the one before, which stops clients that send
 * a byte now and then to keep a connection occupied.
 */
export async function converse(
  ctx: Context,
  conn: Line,
  desk: Pick<Desk, "handle">,
  patience: number,
): Promise<void> {
  const writer = conn.writable.getWriter();
  await using queries = group(ctx, { limit: CONNECTION_QUERIES });
  const reading = draining(queries.ctx);
  for (;;) {
    const message = await nextMessage(reading, conn, patience);
    if (message === undefined) break;
    await queries.go((ctx) =>
      desk.handle(ctx, {
        transport: "tcp",
        client: conn.remoteAddr,
        message,
        send: (reply) => writer.write(frame(reply)),
      })
    );
  }
  await queries.wait();
}

/**
 * Resolves with the next message, or with undefined if the connection has ended,
 * `ctx` is done, or the message is incomplete after `patience` ms.
 */
async function nextMessage(
  ctx: Context,
  conn: Line,
  patience: number,
): Promise<Uint8Array | undefined> {
  using step = withTimeout(ctx, patience);
  try {
    return await orDone(step, readMessage(conn, MAX_QUERY));
  } catch (error) {
    if (isCanceled(step, error)) return undefined;
    throw error;
  }
}
