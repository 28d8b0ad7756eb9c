// Run without the permission to read. Prints the drops of the kernel.
import { background, udpRead, withCancel } from "../../../mod.ts";

const ctx = withCancel(background());
const conn = Deno.listenDatagram({
  transport: "udp",
  hostname: "127.0.0.1",
  port: 0,
});
const finished = udpRead(ctx, conn, () => {});
ctx.cancel();
console.log((await finished).kernelDropped);
