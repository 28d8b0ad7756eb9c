/**
 * Metrics of the service about its sockets and its process, and its final report.
 * Metrics about lines and samples come from the aggregate.
 *
 * @module
 */

import process from "node:process";
import type { Aggregate } from "./aggregate.ts";
import { type Exposed, type Family, labelText } from "./expose.ts";
import type { Intake, IntakeStats } from "./intake.ts";

/** Yields the families of the sockets and the process. Without sockets it yields
 * their names and types, which are reserved. */
export function* ownFamilies(intakes: readonly Intake[]): Generator<Family> {
  // Read once: the drops of the kernel come from a file.
  const sockets = intakes.map(({ transport, stats }) => ({ transport, stats }));
  for (const { name, help, type, read } of SOCKETS) {
    yield { name, help, type, samples: exposeEach(sockets, read) };
  }
  const { user, system } = process.cpuUsage();
  yield {
    name: "process_start_time_seconds",
    help: "Start time of the process, since the epoch.",
    type: "gauge",
    samples: [{ value: performance.timeOrigin / 1000 }],
  };
  yield {
    name: "process_cpu_seconds_total",
    help: "CPU time of the process.",
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

/** Totals at the end of the service. */
export interface Totals {
  /** Number of lines. */
  readonly lines: number;
  /** Number of well-formed samples. */
  readonly samples: number;
  /** Number of samples or lines not taken. */
  readonly errors: number;
  /** Number of series. */
  readonly series: number;
  /** Counters of each socket. */
  readonly sockets: readonly (IntakeStats & Pick<Intake, "transport">)[];
}

/** Returns the totals of a service. */
export function totalsOf(
  aggregate: Aggregate,
  intakes: readonly Intake[],
): Totals {
  const { lines, samples, size } = aggregate;
  return {
    lines,
    samples,
    errors: Object.values(aggregate.errors).reduce((a, b) => a + b),
    series: size,
    sockets: intakes.map(({ transport, stats }) => ({ transport, ...stats })),
  };
}

/** Formats totals for the last line of the log. */
export function reportOf(totals: Totals): string {
  const { lines, samples, errors, series } = totals;
  const sockets = totals.sockets.map((socket) =>
    `${socket.transport} received ${socket.received} ` +
    `(${socket.bytes} bytes), ` +
    `failed ${socket.failed}, dropped ${socket.dropped}` +
    (socket.kernelDropped === undefined
      ? ""
      : `, by the kernel ${socket.kernelDropped}`)
  );
  return [
    `${lines} lines, ${samples} samples, ${errors} errors, ${series} series`,
    ...sockets,
  ].join("; ");
}

/** Metric of each socket. */
interface SocketFamily {
  readonly name: string;
  readonly help: string;
  readonly type: Family["type"];
  /** Returns the value; undefined if it is unknown. */
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
    help: "Bytes of datagrams or connections.",
    type: "counter",
    read: ({ bytes }) => bytes,
  },
  {
    name: "statsd_packets_failed_total",
    help: "Datagrams that could not be handled, or connections that broke.",
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
    help: "Datagrams that the kernel dropped, if known.",
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
