/**
 * Writes metrics in the protobuf format of Prometheus: messages
 * `io.prometheus.client.MetricFamily`, each after its length. It is the only format
 * with native histograms that Prometheus 2.40 and later scrape.
 *
 * @module
 */

import type { Exposed, Family } from "./expose.ts";
import { isLast, parseLabels } from "./expose.ts";
import type { NativeHistogram } from "./native_buckets.ts";

/** `Content-Type` of {@link exposeProtobuf}. */
export const PROTOBUF = "application/vnd.google.protobuf; " +
  "proto=io.prometheus.client.MetricFamily; encoding=delimited";

/** Approximate number of bytes per message. A larger family becomes several messages,
 * which Prometheus reads as one: a message begins with its length, and the whole
 * family would take more memory than its series. */
const CHUNK = 262_144;

/** Number of each type in the format. */
const TYPES = { counter: 0, gauge: 1, summary: 2, histogram: 4 } as const;

/** Writes the families of all `sources`, in their order, a message at a time. */
export function* exposeProtobuf(
  ...sources: Iterable<Family>[]
): Generator<Uint8Array<ArrayBuffer>> {
  for (const family of sources.flatMap((source) => [...source])) {
    let message = begin(family);
    let lines: Exposed[] = [];
    for (const line of family.samples) {
      lines.push(line);
      if (!isLast(line)) continue;
      message.message(4, metric(family, lines));
      lines = [];
      if (message.length < CHUNK) continue;
      yield delimited(message);
      message = begin(family);
    }
    yield delimited(message);
  }
}

function begin({ name, help, type }: Family): Message {
  return new Message().text(1, name).text(2, help).int(3, TYPES[type]);
}

function delimited(message: Message): Uint8Array<ArrayBuffer> {
  return new Message().varint(message.length).bytes(message.data).data;
}

/** Writes the lines of one series. */
function metric({ type }: Family, lines: readonly Exposed[]): Message {
  const message = new Message();
  for (const [name, value] of parseLabels(lines[0]!.labels ?? "")) {
    message.message(1, new Message().text(1, name).text(2, value));
  }
  switch (type) {
    case "gauge":
      return message.message(2, new Message().double(1, lines[0]!.value));
    case "counter":
      return message.message(3, new Message().double(1, lines[0]!.value));
    case "summary":
      return message.message(4, summary(lines));
    case "histogram":
      return message.message(7, histogram(lines));
  }
}

function summary(lines: readonly Exposed[]): Message {
  const message = new Message();
  for (const { suffix, quantile, value } of lines) {
    if (suffix === "_count") message.int(1, value);
    else if (suffix === "_sum") message.double(2, value);
    else {message.message(
        3,
        new Message().double(1, quantile!).double(2, value),
      );}
  }
  return message;
}

function histogram(lines: readonly Exposed[]): Message {
  const message = new Message();
  for (const { suffix, le, native, value } of lines) {
    if (suffix === "_count") message.int(1, value);
    else if (suffix === "_sum") message.double(2, value);
    else if (native === undefined) {
      message.message(3, new Message().int(1, value).double(2, le!));
    } else addNative(message, native);
  }
  return message;
}

function addNative(message: Message, native: NativeHistogram): void {
  message.sint(5, native.schema).double(6, native.zeroThreshold)
    .int(7, native.zeroCount);
  addBuckets(message, 9, native.negative);
  addBuckets(message, 12, native.positive);
}

/** Writes buckets as runs of neighbors (in the field `spans`) and the difference of
 * each count to the one before (in the next field). */
function addBuckets(
  message: Message,
  spans: number,
  buckets: NativeHistogram["positive"],
): void {
  let next = 0;
  let before = 0;
  for (let from = 0, to = 0; from < buckets.length; from = to) {
    const [first] = buckets[from]!;
    while (to < buckets.length && buckets[to]![0] === first + to - from) to++;
    const length = to - from;
    message.message(spans, new Message().sint(1, first - next).int(2, length));
    next = first + length;
  }
  for (const [, count] of buckets) {
    message.sint(spans + 1, count - before);
    before = count;
  }
}

const utf8 = new TextEncoder();

/** Protobuf message. Its methods append one field and return the message. */
class Message {
  #data = new Uint8Array(64);
  #view = new DataView(this.#data.buffer);
  #length = 0;

  /** Number of bytes. */
  get length(): number {
    return this.#length;
  }

  /** The bytes, valid until the next field is appended. */
  get data(): Uint8Array<ArrayBuffer> {
    return this.#data.subarray(0, this.#length);
  }

  /** Appends a non-negative whole number. */
  int(field: number, value: number): this {
    return this.varint(field << 3).varint(value);
  }

  /** Appends a whole number of any sign. */
  sint(field: number, value: number): this {
    return this.int(field, value < 0 ? -2 * value - 1 : 2 * value);
  }

  /** Appends a float. */
  double(field: number, value: number): this {
    this.varint(field << 3 | 1).#reserve(8);
    this.#view.setFloat64(this.#length, value, true);
    this.#length += 8;
    return this;
  }

  /** Appends a text. */
  text(field: number, value: string): this {
    return this.#delimited(field, utf8.encode(value));
  }

  /** Appends a message. */
  message(field: number, value: Message): this {
    return this.#delimited(field, value.data);
  }

  /** Appends a varint without a field. */
  varint(value: number): this {
    this.#reserve(10);
    // No shifts: they would cut numbers to 32 bits.
    for (; value >= 0x80; value = Math.floor(value / 0x80)) {
      this.#data[this.#length++] = value % 0x80 | 0x80;
    }
    this.#data[this.#length++] = value;
    return this;
  }

  /** Appends bytes without a field. */
  bytes(bytes: Uint8Array): this {
    this.#reserve(bytes.length);
    this.#data.set(bytes, this.#length);
    this.#length += bytes.length;
    return this;
  }

  #delimited(field: number, bytes: Uint8Array): this {
    return this.varint(field << 3 | 2).varint(bytes.length).bytes(bytes);
  }

  #reserve(bytes: number): void {
    const needed = this.#length + bytes;
    if (needed <= this.#data.length) return;
    const data = new Uint8Array(Math.max(needed, 2 * this.#data.length));
    data.set(this.data);
    this.#data = data;
    this.#view = new DataView(data.buffer);
  }
}
