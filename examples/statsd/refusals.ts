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

/** Maximum length of a text in an entry, in bytes or characters. */
const MAX_SHOWN = 200;

const COLON = 0x3a;

const utf8 = new TextDecoder();

/** The latest refusals. Entries are counted up instead of being repeated, so that
 * one bad client does not push out all others. */
export class RefusalLog {
  /** By reason and name, the least recent first. */
  readonly #entries = new Map<string, Entry>();
  #total = 0;
  /** Value of {@link total} when {@link news} was last called. */
  #told = 0;

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
    const line = text(data, from, to);
    const at = Date.now();
    const key = `${reason} ${name}`;
    const { count = 0, told = 0 } = this.#entries.get(key) ?? {};
    // Deleted first: a Map keeps the order in which its keys were added.
    this.#entries.delete(key);
    const entry = { name, reason, detail, line, count: count + 1, at, told };
    this.#entries.set(key, entry);
    if (this.#entries.size <= MAX_REFUSALS) return;
    const [oldest] = this.#entries.keys();
    this.#entries.delete(oldest!);
  }

  /** Returns the latest entries, at most `count` of them, the newest first. */
  latest(count = MAX_REFUSALS): Refused[] {
    return [...this.#entries.values()].reverse().slice(0, count).map(shown);
  }

  /**
   * Returns what was added since the last call: at most `count` entries, the newest
   * first, with their counts since that call, and the number of other refusals.
   */
  news(count: number): { entries: Refused[]; others: number } {
    const entries: Refused[] = [];
    let others = this.#total - this.#told;
    this.#told = this.#total;
    for (const entry of [...this.#entries.values()].reverse()) {
      const news = entry.count - entry.told;
      entry.told = entry.count;
      if (news === 0 || entries.length === count) continue;
      entries.push(shown({ ...entry, count: news }));
      others -= news;
    }
    return { entries, others };
  }
}

interface Entry extends Refused {
  /** Value of `count` when {@link RefusalLog.news} was last called. */
  told: number;
}

/** Returns an entry that is safe to show. */
function shown({ name, reason, detail, line, count, at }: Entry): Refused {
  return {
    name: visible(name),
    reason,
    detail: visible(
      detail.length > MAX_SHOWN ? `${detail.slice(0, MAX_SHOWN)}…` : detail,
    ),
    line: visible(line),
    count,
    at,
  };
}

/** Decodes the text between `from` and `to`, cut to {@link MAX_SHOWN} bytes. */
function text(data: Uint8Array, from: number, to: number): string {
  const end = Math.min(to, from + MAX_SHOWN);
  return utf8.decode(data.subarray(from, end)) + (end < to ? "…" : "");
}
