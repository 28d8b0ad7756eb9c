/**
 * Splits the stream of a connection into lines.
 *
 * @module
 */

import {
  EVERY_STYLE,
  MAX_LINE,
  parsePacket,
  type Sink,
  type TagSyntax,
} from "./parse.ts";

const FEED = 0x0a;

/**
 * Parses the lines of one connection, in as few packets as they came in. It keeps
 * the start of a line that has not ended, up to the maximum length of a line, so a
 * stream without line ends costs no more memory than that.
 */
export class LineFramer {
  readonly #sink: Sink;
  readonly #syntax: TagSyntax;
  /** Start of the line that is coming in. */
  #rest = new Uint8Array(0);
  /** True if the line that is coming in is too long. */
  #skipping = false;

  /**
   * @param sink Receives the samples of the lines.
   * @param syntax Tag styles to read.
   */
  constructor(sink: Sink, syntax: TagSyntax = EVERY_STYLE) {
    this.#sink = sink;
    this.#syntax = syntax;
  }

  /** Number of bytes kept of a line that has not ended. */
  get pending(): number {
    return this.#rest.length;
  }

  /** Takes the next chunk of the stream, which is not kept. */
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
    if (to > from) this.#parse(chunk.subarray(from, to));
    this.#keep(chunk.subarray(Math.max(from, to)));
  }

  /** Ends the line that is coming in. */
  end(): void {
    this.#parse(this.#rest);
    this.#rest = new Uint8Array(0);
    this.#skipping = false;
  }

  #parse(packet: Uint8Array): void {
    parsePacket(packet, this.#sink, this.#syntax);
  }

  #keep(bytes: Uint8Array): void {
    if (this.#skipping || bytes.length === 0) return;
    const length = this.#rest.length + bytes.length;
    const start = this.#rest;
    this.#rest = new Uint8Array(Math.min(length, MAX_LINE));
    this.#rest.set(start);
    this.#rest.set(bytes.subarray(0, MAX_LINE - start.length), start.length);
    if (length <= MAX_LINE) return;
    this.#sink.line(this.#rest, 0, this.#rest.length);
    this.#sink.error("line_too_long");
    this.#rest = new Uint8Array(0);
    this.#skipping = true;
  }
}
