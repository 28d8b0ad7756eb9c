/**
 * Takes the stream of a connection apart into lines.
 *
 * @module
 */

import { MAX_LINE, parsePacket, type Sink } from "./parse.ts";

const FEED = 0x0a;

/**
 * Hands the lines of one connection on, in as few packets as they came in. What
 * has not ended yet is kept, up to the longest line there is: a stream that never
 * sends the end of a line costs no more than that.
 */
export class LineFramer {
  readonly #sink: Sink;
  /** The start of a line. */
  #rest = new Uint8Array(0);
  /** Whether the line that is coming in has been given up. */
  #skipping = false;

  /** @param sink Gets what the lines hold. */
  constructor(sink: Sink) {
    this.#sink = sink;
  }

  /** Bytes of a line that has not ended. */
  get pending(): number {
    return this.#rest.length;
  }

  /** Takes what has come in next; it is not kept. */
  push(chunk: Uint8Array): void {
    let from = 0;
    if (this.#skipping || this.#rest.length > 0) {
      const feed = chunk.indexOf(FEED);
      if (feed === -1) return this.#keep(chunk);
      from = feed + 1;
      this.#keep(chunk.subarray(0, feed));
      this.end();
    }
    const to = chunk.lastIndexOf(FEED) + 1;
    if (to > from) parsePacket(chunk.subarray(from, to), this.#sink);
    this.#keep(chunk.subarray(Math.max(from, to)));
  }

  /** The line that has not ended does so now. */
  end(): void {
    parsePacket(this.#rest, this.#sink);
    this.#rest = new Uint8Array(0);
    this.#skipping = false;
  }

  #keep(bytes: Uint8Array): void {
    if (this.#skipping || bytes.length === 0) return;
    const length = this.#rest.length + bytes.length;
    if (length > MAX_LINE) {
      this.#sink.line();
      this.#sink.error("line_too_long");
      this.#rest = new Uint8Array(0);
      this.#skipping = true;
      return;
    }
    const rest = new Uint8Array(length);
    rest.set(this.#rest);
    rest.set(bytes, this.#rest.length);
    this.#rest = rest;
  }
}
