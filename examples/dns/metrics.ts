/**
 * Counters of the service in the text format of Prometheus.
 *
 * @module
 */

import type { Desk } from "./desk.ts";
import type { Candidate } from "./failover.ts";
import type { Forwarder } from "./forwarder.ts";
import { Rcode } from "./wire.ts";

/** Labels and value of a sample. */
type Sample = readonly [labels: Record<string, string>, value: number];

/** The content type of {@link exposition}. */
export const CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8";

/** The parts of the service that count. */
export interface Counters {
  readonly desk: Pick<Desk, "counts" | "replies">;
  readonly forwarder: Pick<Forwarder, "candidates" | "shared">;
  /** Queries over UDP that were dropped before they reached the desk. */
  readonly overflow: number;
}

/** Renders the counters. */
export function exposition({ desk, forwarder, overflow }: Counters): string {
  const { counts, replies } = desk;
  const { candidates, shared } = forwarder;
  const each = (samplesOf: (candidate: Candidate) => Sample[]): Sample[] =>
    candidates.flatMap((candidate) => {
      const { name: upstream, transport } = candidate.server;
      return samplesOf(candidate).map(([labels, value]): Sample => [
        { upstream, transport, ...labels },
        value,
      ]);
    });
  return [
    family("dns_queries_total", "Messages from clients.", [
      [{ transport: "udp" }, counts.udp + overflow],
      [{ transport: "tcp" }, counts.tcp],
    ]),
    family("dns_replies_total", "Replies to clients.", byRcode(replies)),
    family("dns_dropped_total", "Messages that got no reply.", [
      [{ reason: "unanswerable" }, counts.dropped],
      [{ reason: "overload" }, overflow],
    ]),
    family("dns_shared_total", "Queries answered together with another one.", [
      [{}, shared],
    ]),
    family(
      "dns_upstream_queries_total",
      "Queries sent upstream.",
      each(({ asked }) => [[{}, asked]]),
    ),
    family(
      "dns_upstream_replies_total",
      "Replies from upstream.",
      each(({ replies }) => byRcode(replies)),
    ),
    family(
      "dns_upstream_failures_total",
      "Queries without a reply from upstream.",
      each(({ failures }) =>
        Object.entries(failures).map(([reason, n]): Sample => [{ reason }, n])
      ),
    ),
    family(
      "dns_upstream_up",
      "1 if the upstream is asked in its turn, 0 if it comes last.",
      each(({ up }) => [[{}, up ? 1 : 0]]),
      "gauge",
    ),
  ].join("");
}

/** Counts by rcode. The usual ones are there from the start, at 0. */
function byRcode(counts: ReadonlyMap<string, number>): Sample[] {
  const usual = Object.keys(Rcode).map((name): [string, number] => [name, 0]);
  return [...new Map([...usual, ...counts])]
    .map(([rcode, value]) => [{ rcode }, value]);
}

function family(
  name: string,
  help: string,
  samples: readonly Sample[],
  type = "counter",
): string {
  if (samples.length === 0) return "";
  const lines = samples.map(([labels, value]) => {
    const pairs = Object.entries(labels)
      .map(([label, text]) => `${label}="${text}"`);
    const set = pairs.length === 0 ? "" : `{${pairs.join(",")}}`;
    return `${name}${set} ${value}\n`;
  });
  return `# HELP ${name} ${help}\n# TYPE ${name} ${type}\n${lines.join("")}`;
}
