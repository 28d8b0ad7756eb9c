// Datagrams that keep coming while the server drains.

import { background, serveUdp, withCancel } from "@curfew/context";
import { assertEquals } from "@std/assert";
import { delay } from "@std/async";
import { assertConserved, local, UdpClient } from "./udp_client.ts";

Deno.test("serveUdp() stops reading once the kernel holds nothing, even while a handler runs", async () => {
  const first = Promise.withResolvers<void>();
  const begun = Promise.withResolvers<void>();
  const ctx = withCancel(background());
  const server = serveUdp(
    ctx,
    { ...local, concurrency: 2, grace: 60_000 },
    (_ctx, { data }) => {
      begun.resolve();
      return data[0] === 0 ? first.promise : undefined;
    },
  );
  using client = new UdpClient(server.addr);
  await client.send("\0");
  await begun.promise;
  ctx.cancel();
  // The time until the server notices the silence depends on the machine.
  let before: number;
  do {
    before = server.stats.received;
    await client.send("late");
    await delay(50);
  } while (server.stats.received > before);
  first.resolve();
  const stats = await server.finished;
  assertConserved(stats);
  assertEquals([stats.received, stats.dropped], [before, 0]);
});
