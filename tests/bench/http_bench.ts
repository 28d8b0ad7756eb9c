/**
 * What a request costs in CPU time with `serveHttp`, beside a plain `Deno.serve`
 * and beside the ways one would have it today.
 *
 *     deno run -A tests/bench/http_bench.ts [--legs=41] [--requests=3000]
 *
 * Requests a second swing with all that the machine does besides; the CPU time
 * swings less, and the ratios least. The servers are on one core and the load on
 * another, where there are two and `taskset`. All take their turns in each leg,
 * and a ratio is the median of those of the legs: many short ones tell more than
 * a few long ones. `info.completed` is what it takes to know that a response has
 * been sent, so nothing that knows it can be cheaper.
 *
 * @module
 */

import { median } from "./measure.ts";
import { variants } from "./http_server.ts";

/** A process that answers each line with a line. */
class Partner implements Disposable {
  readonly #child: Deno.ChildProcess;
  readonly #input: WritableStreamDefaultWriter<Uint8Array>;
  readonly #output: ReadableStreamDefaultReader<string>;

  constructor(core: number, file: string, ...args: string[]) {
    const deno = ["run", "--quiet", "--no-check", "--allow-all"];
    const run = [...deno, new URL(file, import.meta.url).href, ...args];
    this.#child = new Deno.Command(pins ? "taskset" : Deno.execPath(), {
      args: pins ? ["-c", `${core}`, Deno.execPath(), ...run] : run,
      stdin: "piped",
      stdout: "piped",
      // request.signal prints a warning.
      stderr: "null",
    }).spawn();
    this.#input = this.#child.stdin.getWriter();
    this.#output = this.#child.stdout.pipeThrough(new TextDecoderStream())
      .getReader();
  }

  async hear(): Promise<string> {
    const { value } = await this.#output.read();
    if (value === undefined) throw new Error("a process has ended");
    return value.trim();
  }

  async ask(line: string): Promise<string> {
    await this.#input.write(new TextEncoder().encode(`${line}\n`));
    return await this.hear();
  }

  [Symbol.dispose](): void {
    this.#child.kill("SIGKILL");
  }
}

function option(name: string, byDefault: number): number {
  const given = Deno.args.find((arg) => arg.startsWith(`--${name}=`));
  return given === undefined ? byDefault : Number(given.split("=")[1]);
}

function hasTaskset(): boolean {
  if (navigator.hardwareConcurrency < 2) return false;
  try {
    return new Deno.Command("taskset", { args: ["-c", "1", "true"] })
      .outputSync().success;
  } catch {
    return false;
  }
}

function row(...cells: string[]): void {
  console.log(`| ${cells.join(" | ")} |`);
}

const pins = hasTaskset();
const legs = option("legs", 41);
/** As many requests until the engine has optimised all it will. */
const warmUp = 20_000;
const requests = option("requests", 3_000);

using all = new DisposableStack();
const load = all.use(new Partner(1, "http_load.ts"));
const servers = Object.keys(variants).map((name) => ({
  name,
  partner: all.use(new Partner(0, "http_server.ts", name)),
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
row("CPU time of a request", "µs", "plain Deno.serve / this", "of the legs");
row("---", "---:", "---:", "---:");
for (const { name, times } of servers) {
  const ratios = times.map((time, leg) => plain[leg]! / time);
  const [least, most] = [Math.min(...ratios), Math.max(...ratios)];
  row(
    name,
    median(times).toFixed(1),
    median(ratios).toFixed(2),
    `${least.toFixed(2)} to ${most.toFixed(2)}`,
  );
}
