// Run without --unstable-net: prints what a user is told.
import { background, serveUdp } from "../../../mod.ts";

try {
  serveUdp(background(), { port: 0 }, () => {});
} catch (error) {
  console.log(`${(error as Error).name}: ${(error as Error).message}`);
}
