// Run without --unstable-net: prints what a user is told.
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
