/** A binary heap of entries that can be taken out wherever they are. */

/** Access to the private fields of entries. */
export interface HeapFields<E> {
  /** Returns whether `one` comes before `other`. */
  isBefore(one: E, other: E): boolean;
  /** Returns the place of `entry`, as last written by `move`. */
  place(entry: E): number;
  /** Called whenever the heap moves `entry`, with its new place. */
  move(entry: E, place: number): void;
}

/** The place of an entry that is in no heap. */
export const nowhere = -1;

/** Entries in order; adding and removing one takes logarithmic time. */
export class DeadlineHeap<E> {
  readonly #entries: E[] = [];
  readonly #fields: HeapFields<E>;

  constructor(fields: HeapFields<E>) {
    this.#fields = fields;
  }

  /** The entry that comes before all others. */
  get first(): E | undefined {
    return this.#entries[0];
  }

  add(entry: E): void {
    this.#entries.push(entry);
    this.#rise(entry, this.#entries.length - 1);
  }

  /** Takes out `entry`, which must be in the heap. */
  remove(entry: E): void {
    const place = this.#fields.place(entry);
    this.#fields.move(entry, nowhere);
    const last = this.#entries.pop()!;
    if (last === entry) return;
    if (this.#fields.isBefore(last, entry)) this.#rise(last, place);
    else this.#sink(last, place);
  }

  #rise(entry: E, place: number): void {
    const entries = this.#entries;
    const fields = this.#fields;
    while (place > 0) {
      const above = (place - 1) >> 1;
      const other = entries[above]!;
      if (fields.isBefore(other, entry)) break;
      entries[place] = other;
      fields.move(other, place);
      place = above;
    }
    entries[place] = entry;
    fields.move(entry, place);
  }

  #sink(entry: E, place: number): void {
    const entries = this.#entries;
    const fields = this.#fields;
    const { length } = entries;
    for (;;) {
      let below = 2 * place + 1;
      if (below >= length) break;
      if (
        below + 1 < length &&
        fields.isBefore(entries[below + 1]!, entries[below]!)
      ) {
        below++;
      }
      const other = entries[below]!;
      if (fields.isBefore(entry, other)) break;
      entries[place] = other;
      fields.move(other, place);
      place = below;
    }
    entries[place] = entry;
    fields.move(entry, place);
  }
}
