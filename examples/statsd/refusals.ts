/**
 * Remembers the latest refusals by name, for the page and the debug log.
 *
 * @module
 */

import type { Refusal } from "./aggregate.ts";
import type { Reason } from "./parse.ts";
import { visible } from "./visible.ts";

/** Reason for an entry of the {@link RefusalLog}. `tag_error` costs a tag, every
 * other reason a sample or a line. */
export type RefusalReason = Reason | Refusal | "tag_error";

/** Refusals of one name for one reason. Texts are cut short, and their control
 * characters are visible. */
export interface Refused {
  /** Name as sent, including tags in it: the line up to its first colon. */
  readonly name: string;
  /** Reason, as in `statsd_sample_errors_total`. */
  readonly reason: RefusalReason;
  /** Explanation, such as the metric it conflicts with; may be empty. */
  readonly detail: string;
  /** The latest line. */
  readonly line: string;
  /** Number of refusals since the entry was made. */
  readonly count: number;
  /** Time of the latest one, in ms since the epoch. */
  readonly at: number;
}

/** Maximum number of entries. */
export const MAX_REFUSALS = 50;

/** Maximum length of a name or line in an entry, in bytes. */
const MAX_SHOWN = 200;

const COLON = 0x3a;

const utf8 = new TextDecoder();

/** The latest refusals. Entries are counted up instead of being repeated, so that
 * one bad client does not push out all others. */
export class RefusalLog {
  /** By reason and name, the least recent first. */
  readonly #entries = new Map<string, Refused>();
  #total = 0;

  /** Number of refusals since the start. */
  get total(): number {
    return this.#total;
  }

  /** Adds the refusal of the line between `from` and `to`, or of a part of it. */
  add(
    reason: RefusalReason,
    data: Uint8Array,
    from: number,
    to: number,
    detail = "",
  ): void {
    this.#total++;
    const colon = data.indexOf(COLON, from);
    const name = text(data, from, colon === -1 || colon > to ? to : colon);
    const key = `${reason} ${name}`;
    const count = (this.#entries.get(key)?.count ?? 0) + 1;
    // Deleted first: a Map keeps the order in which its keys were added.
    this.#entries.delete(key);
    const line = text(data, from, to);
    this.#entries.set(key, {
      name,
      reason,
      detail,
      line,
      count,
      at: Date.now(),
    });
    if (this.#entries.size <= MAX_REFUSALS) return;
    for (const oldest of this.#entries.keys()) {
      this.#entries.delete(oldest);
      break;
    }
  }

  /** Returns the latest entries, at most `count` of them, the newest first. */
  latest(count = MAX_REFUSALS): Refused[] {
    return [...this.#entries.values()].reverse().slice(0, count).map(
      ({ name, detail, line, ...rest }) => ({
        ...rest,
        name: visible(name),
        detail: visible(detail),
        line: visible(line),
      }),
    );
  }
}

/** Decodes the text between `from` and `to`, cut to {@link MAX_SHOWN} bytes. */
function text(data: Uint8Array, from: number, to: number): string {
  const end = Math.min(to, from + MAX_SHOWN);
  return utf8.decode(data.subarray(from, end)) + (end < to ? "…" : "");
}
