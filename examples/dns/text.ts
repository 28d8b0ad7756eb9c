/**
 * Names, types and rcodes as people read them, for the log and the metrics.
 *
 * @module
 */

import { Rcode, Type } from "./wire.ts";

/**
 * A name in the form that zone files use, such as `www.example.`. Every byte but
 * letters, digits, `-` and `_` is escaped, so no control character gets through.
 *
 * @param key The name in the form that `nameKey` gives.
 */
export function nameText(key: string): string {
  let text = "";
  for (let at = 0; at < key.length;) {
    const end = at + 1 + key.charCodeAt(at);
    const label = key.slice(at + 1, end);
    if (label !== "") text += `${label.replace(/[^\w-]/g, escapeByte)}.`;
    at = end;
  }
  return text === "" ? "." : text;
}

function escapeByte(char: string): string {
  return `\\${String(char.charCodeAt(0)).padStart(3, "0")}`;
}

const typeNames = new Map<number, string>(
  [
    ...Object.entries(Type),
    ...Object.entries({ PTR: 12, SRV: 33, DS: 43, SVCB: 64, HTTPS: 65 }),
  ].map(([name, type]) => [type, name]),
);

/** The name of a record type; `TYPE257` for one without a name here (RFC 3597). */
export function typeText(type: number): string {
  return typeNames.get(type) ?? `TYPE${type}`;
}

const rcodeNames = new Map<number, string>(
  Object.entries(Rcode).map(([name, rcode]) => [rcode, name]),
);

/** The name of an rcode; `other` for the rare ones, which bounds the metrics. */
export function rcodeText(rcode: number): string {
  return rcodeNames.get(rcode) ?? "other";
}
