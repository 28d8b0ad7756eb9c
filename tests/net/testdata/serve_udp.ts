// Run without --unstable-net. Prints the error that a user gets.
import { background, serveUdp } from "../../../mod.ts";

try {
  serveUdp(background(), { port: 0 }, () => {});
} catch (error) {
  console.log(`${(error as Error).name}: ${(error as Error).message}`);
}
