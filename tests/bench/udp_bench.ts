/**
 * Measures the CPU time of a datagram with `serveUdp`, beside a minimal loop and
 * Deno's other ways, under a flood from a second process.
 *
 *     deno run -A tests/bench/udp_bench.ts [--legs=21] [--datagrams=40000]
 *
 * All take their turns in each leg, and a ratio is the median of those of the
 * legs. Divided is by what was received, for the kernel drops what is not read in
 * time; the share of that is shown.
 *
 * @module
 */

import { median } from "./measure.ts";
import { option, Partner, pins, row } from "./partner.ts";
import { variants } from "./udp_server.ts";

function fileOf(name: string): string {
  return new URL(name, import.meta.url).href;
}

const legs = option("legs", 21);
const datagrams = option("datagrams", 40_000);
/** Warm-up: enough for the engine to optimize all code. */
const warmUp = 100_000;

using all = new DisposableStack();
const load = all.use(new Partner({ core: 1 }, fileOf("udp_load.ts")));
const servers = Object.keys(variants).map((name) => ({
  name,
  partner: all.use(new Partner({ core: 0 }, fileOf("udp_server.ts"), name)),
  port: "",
  times: [] as number[],
  lost: [] as number[],
}));
for (const server of servers) server.port = await server.partner.hear();

const pinned = pins ? "receivers and load on cores of their own" : "not pinned";
console.log(`Deno ${Deno.version.deno}, ${legs} legs, ${pinned}.`);

for (const size of [64, 1_200]) {
  for (const server of servers) {
    server.times = [];
    server.lost = [];
    await load.ask(`${server.port} ${size} ${warmUp}`);
  }
  for (let leg = 0; leg < legs; leg++) {
    // From either end in turn, so that no one always follows the same other.
    for (const server of leg % 2 === 0 ? servers : servers.toReversed()) {
      const before = await measured(server.partner);
      await load.ask(`${server.port} ${size} ${datagrams}`);
      const after = await measured(server.partner);
      const received = after.received - before.received;
      server.times.push((after.cpu - before.cpu) / received);
      server.lost.push(1 - received / datagrams);
    }
  }
  const bare = servers[0]!.times;
  console.log();
  row(`CPU time of ${size} bytes`, "µs", "this / bare", "of the legs", "lost");
  row("---", "---:", "---:", "---:", "---:");
  for (const { name, times, lost } of servers) {
    const ratios = times.map((time, leg) => time / bare[leg]!);
    const [least, most] = [Math.min(...ratios), Math.max(...ratios)];
    row(
      name,
      median(times).toFixed(2),
      median(ratios).toFixed(2),
      `${least.toFixed(2)} to ${most.toFixed(2)}`,
      `${(100 * median(lost)).toFixed(0)} %`,
    );
  }
}

async function measured(
  partner: Partner,
): Promise<{ cpu: number; received: number }> {
  const [cpu, received] = (await partner.ask("now")).split(" ").map(Number);
  return { cpu: cpu!, received: received! };
}
