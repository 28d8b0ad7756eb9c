// Run with few file descriptors: takes all of them, so that the server cannot
// accept, and prints what becomes of it.
import { background, serveHttp } from "../../../mod.ts";

const server = serveHttp(
  background(),
  {
    hostname: "127.0.0.1",
    port: 0,
    onListen() {},
    onError: (error) => console.log(`reported: ${error}`),
  },
  () => new Response(),
);
const { hostname, port } = server.addr as Deno.NetAddr;
const taken: Deno.FsFile[] = [];
try {
  for (;;) taken.push(Deno.openSync("/dev/null"));
} catch {
  // None is left. One for the client:
  taken.pop()!.close();
}
// The end of the listener resets it, connected or not.
const attempt = Deno.connect({ hostname, port }).then(
  (conn) => conn.close(),
  () => {},
);
const { cause } = await server.finished;
for (const file of taken) file.close();
await attempt;
console.log(`${cause}, because of ${(cause as Error).cause}`);
