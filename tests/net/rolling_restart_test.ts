// Rolling restarts behind nginx and haproxy, with as few failures as Go's net/http.

import { assert } from "@std/assert";
import {
  failures,
  missing,
  type Outcome,
  restarts,
  Site,
} from "./rolling_restart.ts";

const load = { clients: 6, restarts: 1, slow: 500 };

/**
 * Number of attempts. No server can close a connection without a chance that a
 * request is on its way, so one attempt proves nothing. A server that loses requests
 * at every restart fails all of them.
 */
const attempts = 5;

const lacking = await missing();
if (lacking.length > 0) {
  console.log(`rolling restarts left out, missing: ${lacking.join(", ")}`);
}

function shown(outcomes: Outcome[]): string {
  return outcomes.map(({ failed }) => JSON.stringify(failed)).join(" ");
}

for (const restart of restarts) {
  const { proxy, method, keepAlive } = restart;
  const connections = keepAlive ? "kept connections" : "new connections";
  Deno.test({
    name:
      `serveHttp() behind ${proxy} restarts as well as Go, by ${method} on ${connections}`,
    ignore: lacking.length > 0,
    async fn() {
      await using site = await Site.build();
      const ours: Outcome[] = [];
      const go: Outcome[] = [];
      for (let i = 0; i < attempts; i++) {
        ours.push(await site.restart("curfew", restart, load));
        if (failures(ours[i]!) === 0) return;
        go.push(await site.restart("go", restart, load));
        if (failures(ours[i]!) <= failures(go[i]!)) return;
      }
      assert(false, `failures: ${shown(ours)}; Go's: ${shown(go)}`);
    },
  });
}
