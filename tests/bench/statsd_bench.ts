/**
 * Measures the CPU time of a line in the gateway of examples/statsd, and how many
 * lines a second it takes without loss, beside etsy's statsd on Node with the same
 * traffic.
 *
 *     deno run -A tests/bench/statsd_bench.ts [--legs=7] [--packets=20000]
 *
 * The two run on one core and the load on another if there are two and
 * `taskset`. They take turns in each leg, and the ratio is the median over the
 * legs. CPU time is that of the whole process, with all its threads.
 * etsy's statsd does not flush meanwhile, and writes to no backend. It is fetched
 * from the npm registry; Linux only.
 *
 * @module
 */

import { median } from "./measure.ts";
import { option, Partner, pins, row } from "./partner.ts";

const VERSION = "0.9.0";

/** Something that takes lines. */
interface Server {
  readonly name: string;
  readonly port: number;
  /** In µs, up to now. */
  cpu(): number;
  /** Lines taken, up to now. */
  lines(): Promise<number>;
}

async function startOurs(stack: DisposableStack): Promise<Server> {
  const partner = stack.use(
    new Partner(
      { core: 0 },
      fileOf("../../examples/statsd/main.ts"),
      ...["--udp", "0", "--http", "0"],
    ),
  );
  const [, port, url] = /udp .*:(\d+) and (\S+)/.exec(await partner.hear()) ??
    [];
  return {
    name: "examples/statsd",
    port: Number(port),
    cpu: () => cpuOf(partner.pid),
    lines: async () => {
      const text = await (await fetch(url!)).text();
      return Number(/^statsd_lines_total (\d+)$/m.exec(text)?.[1]);
    },
  };
}

async function startEtsys(stack: DisposableStack): Promise<Server> {
  const directory = Deno.makeTempDirSync();
  stack.defer(() => Deno.removeSync(directory, { recursive: true }));
  const { success, stderr } = await new Deno.Command("npm", {
    args: ["install", "--silent", "--prefix", directory, `statsd@${VERSION}`],
  }).output();
  if (!success) throw new Error(new TextDecoder().decode(stderr));
  const port = freePort("udp");
  const management = freePort("tcp");
  const config = `${directory}/config.js`;
  // It wants a backend, and says on stdout when it is up, if told to.
  Deno.writeTextFileSync(
    `${directory}/backend.js`,
    `exports.init = () => { console.log("up"); return true; };`,
  );
  Deno.writeTextFileSync(
    config,
    `{
      address: "127.0.0.1", port: ${port},
      mgmt_address: "127.0.0.1", mgmt_port: ${management},
      backends: ["${directory}/backend.js"], flushInterval: 3600000,
    }`,
  );
  const partner = stack.use(
    new Partner(
      { core: 0, command: "node" },
      `${directory}/node_modules/statsd/stats.js`,
      config,
    ),
  );
  while (!(await partner.hear()).includes("up"));
  return {
    name: `etsy's statsd ${VERSION}`,
    port,
    cpu: () => cpuOf(partner.pid),
    lines: async () => {
      const conn = await Deno.connect({ port: management });
      await conn.write(new TextEncoder().encode("counters\n"));
      let text = "";
      // It leaves the connection open.
      for await (
        const chunk of conn.readable.pipeThrough(new TextDecoderStream())
      ) {
        text += chunk;
        if (text.includes("END")) break;
      }
      return Number(/metrics_received'?: (\d+)/.exec(text)?.[1]);
    },
  };
}

function freePort(transport: "udp" | "tcp"): number {
  const hostname = "127.0.0.1";
  const socket = transport === "udp"
    ? Deno.listenDatagram({ transport, hostname, port: 0 })
    : Deno.listen({ hostname, port: 0 });
  socket.close();
  return (socket.addr as Deno.NetAddr).port;
}

/** In µs, of all threads; /proc/PID/stat counts in hundredths of a second only. */
function cpuOf(pid: number): number {
  let ns = 0;
  for (const { name } of Deno.readDirSync(`/proc/${pid}/task`)) {
    const text = Deno.readTextFileSync(`/proc/${pid}/task/${name}/schedstat`);
    ns += Number(text.split(" ")[0]);
  }
  return ns / 1000;
}

function fileOf(name: string): string {
  return new URL(name, import.meta.url).href;
}

/** Sends to a server, and answers what it took for it. */
async function leg(
  server: Server,
  count: number,
  rate: number,
  lines: number,
): Promise<{ cpu: number; taken: number }> {
  const before = await server.lines();
  const cpu = server.cpu();
  await load.ask(`${server.port} ${count} ${rate} ${lines}`);
  // Until it has read what the kernel holds.
  await new Promise((resolve) => setTimeout(resolve, 200));
  const used = server.cpu() - cpu;
  return { cpu: used, taken: await server.lines() - before };
}

const legs = option("legs", 7);
const count = option("packets", 20_000);
/** Packets a second, below what either loses any of. */
const rate = 8_000;

using all = new DisposableStack();
const load = all.use(new Partner({ core: 1 }, fileOf("statsd_load.ts")));
const servers = [await startEtsys(all), await startOurs(all)];

const pinned = pins ? "receivers and load on cores of their own" : "not pinned";
console.log(`Deno ${Deno.version.deno}, ${legs} legs, ${pinned}.\n`);
row("CPU time of a line", "", "µs", "this / etsy's", "of the legs", "lost");
row("---", "---", "---:", "---:", "---:", "---:");
for (const lines of [10, 1]) {
  // Warm-up: enough for the engines to optimize all code.
  for (const server of servers) await leg(server, 2 * count, rate, lines);
  const times = servers.map(() => [] as number[]);
  const lost = servers.map(() => 0);
  for (let i = 0; i < legs; i++) {
    for (const [s, server] of servers.entries()) {
      const { cpu, taken } = await leg(server, count, rate, lines);
      times[s]!.push(cpu / taken);
      lost[s]! += count * lines - taken;
    }
  }
  for (const [s, server] of servers.entries()) {
    const ratios = times[s]!.map((time, i) => time / times[0]![i]!);
    row(
      server.name,
      `${lines} a packet`,
      median(times[s]!).toFixed(2),
      median(ratios).toFixed(2),
      `${Math.min(...ratios).toFixed(2)} to ${Math.max(...ratios).toFixed(2)}`,
      `${lost[s]}`,
    );
  }
}

console.log();
row("Lines a second without loss", "10 a packet", "1 a packet");
row("---", "---:", "---:");
for (const server of servers) {
  const rates: number[] = [];
  for (const lines of [10, 1]) rates.push(await greatestRate(server, lines));
  row(server.name, ...rates.map((rate) => rate.toLocaleString("en")));
}

/** The rate of a second in which nothing was lost, in one of three tries, when
 * the next higher one lost something in all of them. */
async function greatestRate(server: Server, lines: number): Promise<number> {
  let good = 0;
  for (let rate = 5_000; rate < 200_000; rate = Math.round(rate * 1.25)) {
    let lost = true;
    for (let i = 0; i < 3 && lost; i++) {
      const { taken } = await leg(server, rate, rate, lines);
      lost = taken < rate * lines;
    }
    if (lost) break;
    good = rate * lines;
  }
  return good;
}
