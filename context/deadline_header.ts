/** HTTP headers that carry the time left. */

import { shown } from "./shown.ts";

/**
 * Name of an HTTP request header that carries the time left, so that a service
 * knows how long its caller waits.
 *
 * | header                           | unit                              | written by          |
 * | -------------------------------- | --------------------------------- | ------------------- |
 * | `grpc-timeout`                   | in the value: `H M S m u n`       | gRPC, gRPC-Web      |
 * | `connect-timeout-ms`             | ms                                | Connect             |
 * | `x-envoy-expected-rq-timeout-ms` | ms                                | Envoy, Istio        |
 */
export type DeadlineHeader =
  | "grpc-timeout"
  | "connect-timeout-ms"
  | "x-envoy-expected-rq-timeout-ms";

/** The headers, with the function that writes a time in ms for each. */
const formats: Readonly<Record<DeadlineHeader, (ms: number) => string>> = {
  "grpc-timeout": grpcTimeout,
  "connect-timeout-ms": wholeMs,
  "x-envoy-expected-rq-timeout-ms": wholeMs,
};

/**
 * Throws a TypeError unless `name` is a {@linkcode DeadlineHeader}.
 *
 * @param caller The public function that was called, and its option.
 */
export function assertDeadlineHeader(
  caller: string,
  name: unknown,
): asserts name is DeadlineHeader {
  if (typeof name === "string" && Object.hasOwn(formats, name)) return;
  const known = Object.keys(formats).join(", ");
  throw new TypeError(
    `${caller}: expected one of ${known}, got ${shown(name)}`,
  );
}

/** Writes a time in ms for `header`, rounded down. */
export function formatDeadline(header: DeadlineHeader, ms: number): string {
  return formats[header](ms);
}

/** The Connect protocol allows ten digits, which are 115 days. */
const mostMs = 9_999_999_999;

function wholeMs(ms: number): string {
  return String(Math.floor(Math.min(ms, mostMs)));
}

/** The gRPC protocol allows eight digits. */
const mostGrpc = 99_999_999;

/** Units of gRPC from the finest that the clock has, in ms. */
const grpcUnits: readonly (readonly [string, number])[] = [
  ["m", 1],
  ["S", 1_000],
  ["M", 60_000],
  ["H", 3_600_000],
];

function grpcTimeout(ms: number): string {
  for (const [unit, size] of grpcUnits) {
    const count = Math.floor(ms / size);
    if (count <= mostGrpc) return `${count}${unit}`;
  }
  return `${mostGrpc}H`;
}
