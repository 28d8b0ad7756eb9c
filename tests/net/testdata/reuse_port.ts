// Run without --unstable-net. Prints the errors that a user gets.
import { background, serveHttp, serveTcp } from "../../../mod.ts";

const options = { hostname: "127.0.0.1", port: 0, reusePort: true };
for (
  const serve of [
    () => serveTcp(background(), options, () => {}),
    () => serveHttp(background(), options, () => new Response()),
  ]
) {
  try {
    serve();
  } catch (error) {
    console.log(`${(error as Error).name}: ${(error as Error).message}`);
  }
}
