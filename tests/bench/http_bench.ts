/**
 * Measures the CPU time of a request with `serveHttp`, beside a plain `Deno.serve`
 * and the usual ways to get a timeout and a cancellation there.
 *
 *     deno run -A tests/bench/http_bench.ts [--legs=41] [--requests=3000]
 *
 * Requests per second vary with everything else that the machine does; CPU time
 * varies less, and ratios least. The servers run on one core and the load on
 * another if there are two and `taskset`. The servers take turns in each leg, and a
 * ratio is the median over the legs: many short legs are more precise than a few
 * long ones. Only `info.completed` tells when a response has been sent, so nothing
 * that needs to know can be cheaper than awaiting it.
 *
 * @module
 */

import { median } from "./measure.ts";
import { option, Partner, pins, row } from "./partner.ts";
import { variants } from "./http_server.ts";

function fileOf(name: string): string {
  return new URL(name, import.meta.url).href;
}

const legs = option("legs", 41);
/** Warm-up requests: enough for the engine to optimize all code. */
const warmUp = 20_000;
const requests = option("requests", 3_000);

using all = new DisposableStack();
const load = all.use(new Partner({ core: 1 }, fileOf("http_load.ts")));
const servers = Object.keys(variants).map((name) => ({
  name,
  partner: all.use(new Partner({ core: 0 }, fileOf("http_server.ts"), name)),
  port: "",
  times: [] as number[],
}));
for (const server of servers) {
  server.port = await server.partner.hear();
  await load.ask(`${server.port} ${warmUp}`);
}

for (let leg = 0; leg < legs; leg++) {
  // From either end in turn, so that no one always follows the same other.
  for (const server of leg % 2 === 0 ? servers : servers.toReversed()) {
    const before = Number(await server.partner.ask("cpu"));
    await load.ask(`${server.port} ${requests}`);
    const after = Number(await server.partner.ask("cpu"));
    server.times.push((after - before) / requests);
  }
}

const pinned = pins ? "servers and load on cores of their own" : "not pinned";
console.log(`Deno ${Deno.version.deno}, ${legs} legs, ${pinned}.\n`);
const plain = servers[0]!.times;
row("CPU time of a request", "µs", "this / plain Deno.serve", "of the legs");
row("---", "---:", "---:", "---:");
for (const { name, times } of servers) {
  const ratios = times.map((time, leg) => time / plain[leg]!);
  const [least, most] = [Math.min(...ratios), Math.max(...ratios)];
  row(
    name,
    median(times).toFixed(1),
    median(ratios).toFixed(2),
    `${least.toFixed(2)} to ${most.toFixed(2)}`,
  );
}
