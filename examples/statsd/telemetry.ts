/**
 * What the service has to tell Prometheus about itself: its sockets and its
 * process. What it has read of lines is told by the aggregate.
 *
 * @module
 */

import process from "node:process";
import type { Aggregate } from "./aggregate.ts";
import { type Exposed, type Family, labelText } from "./expose.ts";
import type { Intake, IntakeStats } from "./intake.ts";

/** The families of the sockets and the process; names and types without any
 * socket, for whoever wants to know which names are taken. */
export function* ownFamilies(intakes: readonly Intake[]): Generator<Family> {
  // Looked at once: of what the kernel has dropped a file tells.
  const sockets = intakes.map(({ transport, stats }) => ({ transport, stats }));
  for (const { name, help, type, read } of SOCKETS) {
    yield { name, help, type, samples: exposeEach(sockets, read) };
  }
  const { user, system } = process.cpuUsage();
  yield {
    name: "process_start_time_seconds",
    help: "When the process has started, since the epoch.",
    type: "gauge",
    samples: [{ value: performance.timeOrigin / 1000 }],
  };
  yield {
    name: "process_cpu_seconds_total",
    help: "Time that the process has spent on processors.",
    type: "counter",
    samples: [{ value: (user + system) / 1e6 }],
  };
  yield {
    name: "process_resident_memory_bytes",
    help: "Memory of the process.",
    type: "gauge",
    samples: [{ value: Deno.memoryUsage().rss }],
  };
}

/** What there was in all, for the log at the very end. */
export function finalReport(
  aggregate: Aggregate,
  intakes: readonly Intake[],
): string {
  const { lines, samples, size } = aggregate;
  const errors = Object.values(aggregate.errors).reduce((a, b) => a + b);
  const sockets = intakes.map(({ transport, stats }) =>
    `${transport} received ${stats.received} (${stats.bytes} bytes), ` +
    `failed ${stats.failed}, dropped ${stats.dropped}` +
    (stats.kernelDropped === undefined
      ? ""
      : `, by the kernel ${stats.kernelDropped}`)
  );
  return [
    `${lines} lines, ${samples} samples, ${errors} errors, ${size} series`,
    ...sockets,
  ].join("; ");
}

/** What is told of each socket; `read` answers undefined where it does not know. */
interface SocketFamily {
  readonly name: string;
  readonly help: string;
  readonly type: Family["type"];
  read(stats: IntakeStats): number | undefined;
}

const SOCKETS: readonly SocketFamily[] = [
  {
    name: "statsd_packets_total",
    help: "Datagrams read, or connections accepted.",
    type: "counter",
    read: ({ received }) => received,
  },
  {
    name: "statsd_received_bytes_total",
    help: "Bytes of what was read.",
    type: "counter",
    read: ({ bytes }) => bytes,
  },
  {
    name: "statsd_packets_failed_total",
    help: "Datagrams that could not be handled, or connections that were cut.",
    type: "counter",
    read: ({ failed }) => failed,
  },
  {
    name: "statsd_packets_dropped_total",
    help: "Datagrams that found the backlog full, or connections refused.",
    type: "counter",
    read: ({ dropped }) => dropped,
  },
  {
    name: "statsd_kernel_packets_dropped_total",
    help: "Datagrams that the kernel had no room for, where it tells.",
    type: "counter",
    read: ({ kernelDropped }) => kernelDropped,
  },
  {
    name: "statsd_backlog",
    help: "Datagrams read and not yet handled, or connections open.",
    type: "gauge",
    read: ({ pending }) => pending,
  },
];

function* exposeEach(
  sockets: readonly Pick<Intake, "transport" | "stats">[],
  read: SocketFamily["read"],
): Generator<Exposed> {
  for (const { transport, stats } of sockets) {
    const value = read(stats);
    if (value === undefined) continue;
    yield { labels: labelText([["transport", transport]]), value };
  }
}
