/**
 * Finds a series by the bytes of its line. Most lines belong to a known series; for
 * those no string is made and no tag is parsed.
 *
 * @module
 */

import { HASH_PRIME, type Spelling } from "./parse.ts";

/** Hash table with spellings as keys. Several may lead to one value. */
export class SpellingTable<T> {
  #slots: (Entry<T> | undefined)[] = new Array(MIN_SLOTS);
  #size = 0;
  #text = 0;

  /** Number of spellings. */
  get size(): number {
    return this.#size;
  }

  /** Number of their bytes. */
  get text(): number {
    return this.#text;
  }

  /** Returns the value of a spelling; undefined if it is unknown or was dropped. */
  find(spelling: Spelling): T | undefined {
    const slots = this.#slots;
    const hash = hashOf(spelling);
    for (let probe = 0; probe < MAX_PROBES; probe++) {
      const entry = slots[(hash + probe) & (slots.length - 1)];
      if (entry === undefined) return undefined;
      if (entry.hash === hash && isKey(entry, spelling)) return entry.value;
    }
    return undefined;
  }

  /** Adds a spelling that was not found. If there is no free slot within
   * {@link MAX_PROBES} steps, it is left out. */
  add(spelling: Spelling, value: T): void {
    if (2 * this.#size >= this.#slots.length) {
      this.#rebuild(2 * this.#slots.length, () => true);
    }
    const { data, nameFrom, nameTo, tagsFrom, tagsTo } = spelling;
    const entry: Entry<T> = {
      hash: hashOf(spelling),
      // One character per byte: a small array would take three times the memory.
      key: latin1(data, nameFrom, nameTo) + latin1(data, tagsFrom, tagsTo),
      nameLength: nameTo - nameFrom,
      value,
    };
    this.#put(entry);
  }

  /** Removes every spelling for whose value `keep` returns false. */
  retain(keep: (value: T) => boolean): void {
    this.#rebuild(MIN_SLOTS, keep);
  }

  #rebuild(slots: number, keep: (value: T) => boolean): void {
    const kept = this.#slots.filter((entry) =>
      entry !== undefined && keep(entry.value)
    ) as Entry<T>[];
    while (slots < 2 * kept.length) slots *= 2;
    this.#slots = new Array(slots);
    this.#size = this.#text = 0;
    for (const entry of kept) this.#put(entry);
  }

  #put(entry: Entry<T>): void {
    const slots = this.#slots;
    for (let probe = 0; probe < MAX_PROBES; probe++) {
      const slot = (entry.hash + probe) & (slots.length - 1);
      if (slots[slot] !== undefined) continue;
      slots[slot] = entry;
      this.#size++;
      this.#text += entry.key.length;
      return;
    }
  }
}

interface Entry<T> {
  readonly hash: number;
  readonly key: string;
  readonly nameLength: number;
  readonly value: T;
}

/** Initial number of slots; every number of slots is a power of two. */
const MIN_SLOTS = 1_024;
/** Maximum number of slots to try, so that colliding names cost no more than this. */
const MAX_PROBES = 16;

function hashOf(spelling: Spelling): number {
  const { data, tagsFrom, tagsTo } = spelling;
  let hash = spelling.nameHash;
  for (let at = tagsFrom; at < tagsTo; at++) {
    hash = Math.imul(hash ^ data[at]!, HASH_PRIME);
  }
  // The low bits choose the slot; the high ones vary more.
  return hash ^ (hash >>> 15);
}

function isKey(entry: Entry<unknown>, spelling: Spelling): boolean {
  const { key, nameLength } = entry;
  const { data, nameFrom, nameTo, tagsFrom, tagsTo } = spelling;
  if (nameTo - nameFrom !== nameLength) return false;
  if (tagsTo - tagsFrom !== key.length - nameLength) return false;
  for (let i = 0; i < nameLength; i++) {
    if (key.charCodeAt(i) !== data[nameFrom + i]) return false;
  }
  const tags = tagsFrom - nameLength;
  for (let i = nameLength; i < key.length; i++) {
    if (key.charCodeAt(i) !== data[tags + i]) return false;
  }
  return true;
}

function latin1(data: Uint8Array, from: number, to: number): string {
  return String.fromCharCode(...data.subarray(from, to));
}
