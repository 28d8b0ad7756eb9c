import { background, serveUdp, withCancel } from "@curfew/context";
import { assert } from "@std/assert";
import { delay } from "@std/async";
import { assertConserved, UdpClient } from "./udp_client.ts";

Deno.test("serveUdp() drops what comes once the kernel had nothing left, while a handler is at work", async () => {
  const first = Promise.withResolvers<void>();
  const begun = Promise.withResolvers<void>();
  const ctx = withCancel(background());
  await using server = serveUdp(ctx, {
    port: 0,
    concurrency: 2,
    grace: 60_000,
  }, (_ctx, { data }) => {
    begun.resolve();
    return data[0] === 0 ? first.promise : undefined;
  });
  using client = new UdpClient(server.addr);
  await client.send("\0");
  await begun.promise;
  ctx.cancel();
  // How long it takes until the silence is noticed is the machine's affair.
  for (let i = 0; i < 200 && server.stats.dropped === 0; i++) {
    await client.send("late");
    await delay(50);
  }
  const { dropped } = server.stats;
  first.resolve();
  assert(dropped > 0);
  assertConserved(await server.finished);
});
