/** Waiting for a server that drains to close its listener. */

import type { HttpServer } from "@curfew/context";
import { TcpClient } from "../tcp/tcp_client.ts";

/** Waits until `server` refuses new connections. */
export async function untilRefused(server: HttpServer): Promise<void> {
  for (;;) {
    try {
      (await TcpClient.connect(server.addr)).close();
    } catch (error) {
      if (error instanceof Deno.errors.ConnectionRefused) return;
      // Accepted by the kernel, and closed with the listener.
      if (!(error instanceof Deno.errors.ConnectionReset)) throw error;
    }
  }
}
