// Ends by itself at once, unless the timers of closed connections hold the process.
import {
  background,
  dialTcp,
  serveTcp,
  udpPeers,
  withCancel,
} from "../../../mod.ts";

const ctx = withCancel(background());
const idleTimeout = 1_000_000_000;
const local = { hostname: "127.0.0.1", port: 0 };
const tcp = serveTcp(ctx, { ...local, idleTimeout }, (_ctx, conn) => {
  conn.close();
});
const udp = udpPeers(ctx, { ...local, idleTimeout }, async (_ctx, peer) => {
  for await (const datagram of peer) {
    await datagram.reply(datagram.data);
    return;
  }
});
const conn = await dialTcp(ctx, tcp.addr);
await conn.read(new Uint8Array(1));
conn.close();
const client = Deno.listenDatagram({
  transport: "udp",
  hostname: "127.0.0.1",
  port: 0,
});
await client.send(new Uint8Array(1), udp.addr);
await client.receive();
client.close();
ctx.cancel();
const [connections, peers] = await Promise.all([tcp.finished, udp.finished]);
console.log(`ended ${connections.accepted} ${peers.accepted}`);
