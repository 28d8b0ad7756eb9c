// Ends by itself, unless the probe of a stale socket holds the process. The argument
// is the path of the socket.
import { background, serveTcp } from "../../../mod.ts";

const server = serveTcp(background(), { path: Deno.args[0]! }, () => {});
await server.shutdown();
console.log(server.state);
