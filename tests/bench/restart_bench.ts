/**
 * Counts the requests that a rolling restart loses behind nginx and haproxy: with
 * `serveHttp` under `main`, with `Deno.serve` and `shutdown()`, and with Go's
 * net/http.
 *
 *     deno run -A tests/bench/restart_bench.ts [--rounds=1]
 *
 * Both of two servers are restarted, each with a slow request in flight, while
 * twelve clients send requests through the proxy. Needs nginx, haproxy and go.
 * Takes about four minutes for each round.
 *
 * @module
 */

import {
  failures,
  type Kind,
  missing,
  type Outcome,
  restarts,
  Site,
} from "../net/rolling_restart.ts";
import { option, row } from "./partner.ts";

const load = { clients: 12, restarts: 2, slow: 1_500 };
const kinds: readonly Kind[] = ["curfew", "plain", "go"];

function shown(outcomes: readonly Outcome[]): string {
  const causes = new Map<string, number>();
  let [lost, total] = [0, 0];
  for (const outcome of outcomes) {
    lost += failures(outcome);
    total += outcome.total;
    for (const [cause, count] of Object.entries(outcome.failed)) {
      causes.set(cause, (causes.get(cause) ?? 0) + count);
    }
  }
  const details = [...causes].map(([cause, count]) => `${count} ${cause}`);
  const why = details.length === 0 ? "" : ` (${details.join(", ")})`;
  return `${lost} of ${total.toLocaleString("en")}${why}`;
}

const lacking = await missing();
if (lacking.length > 0) {
  console.error(`install first: ${lacking.join(", ")}`);
  Deno.exit(1);
}
const rounds = option("rounds", 1);
await using site = await Site.build();
row("proxy", "method", "connections kept", "serveHttp", "Deno.serve", "Go");
row("---", "---", "---", "---", "---", "---");
for (const restart of restarts) {
  const cells: string[] = [];
  for (const kind of kinds) {
    const outcomes: Outcome[] = [];
    for (let round = 0; round < rounds; round++) {
      outcomes.push(await site.restart(kind, restart, load));
    }
    cells.push(shown(outcomes));
  }
  const { proxy, method, keepAlive } = restart;
  row(proxy, method, keepAlive ? "yes" : "no", ...cells);
}
