// Run with few file descriptors. Takes all of them, so that the server cannot accept,
// then returns them and checks that the server goes on.
import { background, serveTcp } from "../../../mod.ts";

await using server = serveTcp(
  background(),
  { hostname: "127.0.0.1", port: 0, onError: () => {} },
  (_ctx, conn) => conn.readable.pipeTo(conn.writable),
);
const { hostname, port } = server.addr;
const taken: Deno.FsFile[] = [];
try {
  for (;;) taken.push(Deno.openSync("/dev/null"));
} catch {
  // Free one for the client.
  taken.pop()!.close();
}
using conn = await Deno.connect({ hostname, port });
await conn.write(new TextEncoder().encode("x"));
while (server.stats.transientErrors < 2) {
  await new Promise((resolve) => setTimeout(resolve, 1));
}
console.log(`waited: ${server.stats.accepted === 0}`);
for (const file of taken) file.close();
const answer = new Uint8Array(1);
await conn.read(answer);
console.log(`answered: ${new TextDecoder().decode(answer)}`);
await conn.closeWrite();
