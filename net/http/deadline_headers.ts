/** Deadlines from the headers of requests. */

import {
  assertDeadlineHeader,
  type DeadlineHeader,
} from "../../context/deadline_header.ts";
import { ClientDeadline } from "../client_deadline.ts";

/** The headers that a server trusts. */
export class DeadlineHeaders {
  readonly #names: readonly DeadlineHeader[];
  #ignored = 0;

  constructor(names: readonly DeadlineHeader[]) {
    this.#names = [...names];
  }

  /** Number of values so far that did not parse. */
  get ignored(): number {
    return this.#ignored;
  }

  /** Returns the shortest deadline that parses; undefined if there is none. */
  shortest({ headers }: Request): ClientDeadline | undefined {
    let name = "";
    let shortest = Infinity;
    for (const each of this.#names) {
      const value = headers.get(each);
      if (value === null) continue;
      const ms = parse(each, value);
      if (ms === undefined) this.#ignored++;
      else if (ms < shortest) [name, shortest] = [each, ms];
    }
    return name === "" ? undefined : new ClientDeadline(name, shortest);
  }
}

/** Throws a TypeError unless `names` is an array of known headers. */
export function assertDeadlineHeaders(
  names: unknown,
): asserts names is readonly DeadlineHeader[] {
  if (!Array.isArray(names)) {
    throw new TypeError(
      `serveHttp: deadlineHeaders must be an array, got ${typeof names}`,
    );
  }
  for (const name of names) {
    assertDeadlineHeader("serveHttp: deadlineHeaders", name);
  }
}

/** Units of `grpc-timeout` in ms. */
const grpcUnits: Readonly<Record<string, number>> = {
  H: 3_600_000,
  M: 60_000,
  S: 1_000,
  m: 1,
  u: 1e-3,
  n: 1e-6,
};

/**
 * Returns the time in ms; undefined if `value` does not parse. A header that was sent
 * twice does not, since its values arrive joined by a comma. The protocols know no
 * values below 0, but a client that subtracts may send one: its time is up.
 */
function parse(name: DeadlineHeader, value: string): number | undefined {
  if (name === "grpc-timeout") {
    const [, count, unit] = /^(-?\d{1,8})([HMSmun])$/.exec(value) ?? [];
    return unit === undefined ? undefined : Number(count) * grpcUnits[unit]!;
  }
  return /^-?\d{1,10}$/.test(value) ? Number(value) : undefined;
}
