/** DNS messages as clients and servers write them, for the tests of examples/dns. */

/** Options for {@link query}. */
export interface QueryOptions {
  id?: number;
  /** Second word of the header; by default it asks for recursion. */
  flags?: number;
  /** Record type; A by default. */
  type?: number;
  /** UDP size in the OPT record; without any EDNS option there is no such record. */
  udpSize?: number;
  /** The DO bit of the OPT record. */
  dnssecOk?: boolean;
  /** Data of the OPT record: EDNS options on the wire. */
  options?: number[];
}

/** A query for a name. */
export function query(
  name: string,
  options: QueryOptions = {},
): Uint8Array<ArrayBuffer> {
  const { id = 0x1234, flags = 0x0100, type = 1 } = options;
  const { udpSize = 1232, dnssecOk = false, options: data = [] } = options;
  const edns = "udpSize" in options || dnssecOk || data.length > 0;
  const bits = dnssecOk ? 0x8000 : 0;
  const opt = edns
    ? [0, ...u16(41, udpSize, 0, bits, data.length), ...data]
    : [];
  return Uint8Array.from([
    ...u16(id, flags, 1, 0, 0, opt.length === 0 ? 0 : 1),
    ...wireName(name),
    ...u16(type, 1),
    ...opt,
  ]);
}

/** An answer to a query: an A record with this address. */
export function answer(
  message: Uint8Array,
  address: number[],
): Uint8Array<ArrayBuffer> {
  const head = message.slice(0, questionEnd(message));
  head.set(u16(0x8180, 1, 1, 0, 0), 2);
  return Uint8Array.from([
    ...head,
    ...u16(0xc00c, 1, 1, 0, 60, address.length),
    ...address,
  ]);
}

/** The end of the question of a well-formed message. */
export function questionEnd(message: Uint8Array): number {
  return message.indexOf(0, 12) + 5;
}

/** A name on the wire. */
export function wireName(name: string): number[] {
  const labels = name.split(".").filter((label) => label !== "");
  return [
    ...labels.flatMap((label) => [
      label.length,
      ...new TextEncoder().encode(label),
    ]),
    0,
  ];
}

/** Numbers of 16 bits. */
export function u16(...values: number[]): number[] {
  return values.flatMap((value) => [value >> 8, value & 0xff]);
}

/** A reply that is a header alone, as servers send errors that they cannot explain. */
export function bareReply(
  message: Uint8Array,
  rcode: number,
): Uint8Array<ArrayBuffer> {
  const [high = 0, low = 0] = message;
  return Uint8Array.from([high, low, ...u16(0x8100 | rcode, 0, 0, 0, 0)]);
}

/** The parts of a header that tests look at. */
export function header(message: Uint8Array): {
  id: number;
  response: boolean;
  truncated: boolean;
  recursionAvailable: boolean;
  rcode: number;
  counts: number[];
} {
  const view = new DataView(message.buffer, message.byteOffset);
  const flags = view.getUint16(2);
  return {
    id: view.getUint16(0),
    response: (flags & 0x8000) !== 0,
    truncated: (flags & 0x0200) !== 0,
    recursionAvailable: (flags & 0x0080) !== 0,
    rcode: flags & 0x000f,
    counts: [4, 6, 8, 10].map((at) => view.getUint16(at)),
  };
}
