/**
 * Checks that the gateway of examples/statsd loses no line at SIGTERM. It sends a
 * million lines in packets of ten, below the rate at which the kernel drops some,
 * and the signal at a random point, over and over. Every line sent before the
 * signal must be counted in the last report. Lines sent after it are malformed, so
 * that they cannot make up for one that was lost.
 *
 *     deno run -A tests/bench/statsd_loss.ts [--runs=20] [--lines=1000000]
 *         [--rate=4000] [--seed=1]
 *
 * The rate is in packets a second. The load runs in this process: it knows what
 * has left it when it sends the signal.
 *
 * @module
 */

import { StatsdService } from "../examples/statsd_service.ts";
import { option, row } from "./partner.ts";
import { packets } from "./statsd_load.ts";

const LINES = 10;
/** Longest pause, in ms, that is made up for at once. */
const LONGEST_PAUSE = 10;

/** Outcome of one run. */
interface Outcome {
  /** Lines sent when the signal was. */
  readonly before: number;
  /** Lines sent in all; clients go on after the signal. */
  readonly sent: number;
  /** Samples in the last report. */
  readonly counted: number;
  /** Packets that the kernel had no room for. */
  readonly kernelDropped: number;
}

/** Sends until `signalAt` lines are out, then the signal, and then the rest. */
export async function interrupt(
  lines: number,
  signalAt: number,
  rate: number,
): Promise<Outcome> {
  // Only with all permissions can a service tell what the kernel drops.
  await using service = await StatsdService.startWith(["--allow-all"]);
  const socket = Deno.listenDatagram({
    transport: "udp",
    hostname: "127.0.0.1",
    port: 0,
  });
  const good = packets(LINES);
  const late = new TextEncoder().encode("late\n".repeat(LINES));
  let running = true;
  service.ended.finally(() => running = false);
  let before = 0;
  let sent = 0;
  let at = performance.now();
  while (running && sent < lines) {
    await new Promise((resolve) => setTimeout(resolve, 1));
    // A long pause of a busy machine is not made up for by a burst.
    const elapsed = Math.min(performance.now() - at, LONGEST_PAUSE);
    at = performance.now();
    for (let due = elapsed * rate / 1000; due > 0 && running; due--) {
      const packet = before === 0 ? good[sent / LINES % good.length]! : late;
      // After the end nobody is there, which is no business of a client.
      await socket.send(packet, service.udp).catch(() => {});
      sent += LINES;
      if (before > 0 || sent < signalAt) continue;
      service.kill("SIGTERM");
      before = sent;
    }
  }
  socket.close();
  const { samples: counted, udp } = await service.stopped();
  return { before, sent, counted, kernelDropped: udp.kernelDropped ?? 0 };
}

if (import.meta.main) {
  const runs = option("runs", 20);
  const lines = option("lines", 1_000_000);
  const rate = option("rate", 4_000);
  const seed = option("seed", Date.now() % 2 ** 32);
  console.log(`seed ${seed}\n`);
  let state = seed;
  row("run", "before SIGTERM", "counted", "lost", "kernel drops", "after it");
  row("---:", "---:", "---:", "---:", "---:", "---:");
  let lost = 0;
  for (let run = 1; run <= runs; run++) {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    const at = Math.ceil(state / 2 ** 32 * lines / LINES) * LINES;
    const outcome = await interrupt(lines, at, rate);
    const { before, counted, sent, kernelDropped } = outcome;
    const missing = before - counted;
    lost += missing;
    const cells = [
      ...[run, before, counted, missing],
      ...[kernelDropped, sent - before],
    ];
    row(...cells.map((cell) => cell.toLocaleString("en")));
  }
  console.log(`\n${runs} runs lost ${lost} lines`);
  if (lost !== 0) Deno.exit(1);
}
