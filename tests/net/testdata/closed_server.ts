// Ends by itself at once, unless timers of the closed server hold the process.
import { background, serveTcp } from "../../../mod.ts";

const server = serveTcp(
  background(),
  {
    hostname: "127.0.0.1",
    port: 0,
    lameDuck: 1_000_000_000,
    grace: 1_000_000_000,
  },
  () => {},
);
const ended = server.shutdown();
setTimeout(() => server.shutdown({ grace: 500_000_000 }));
await ended;
console.log(server.state);
