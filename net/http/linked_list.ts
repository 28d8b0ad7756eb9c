/** A linked list. */

/** Links of an entry of a {@linkcode LinkedList}; written by the list only. */
export interface Linked<T> {
  previous: T | undefined;
  next: T | undefined;
}

/**
 * A list in order of insertion whose entries carry the links. Not a Set: adding
 * and deleting an entry there costs each request about 1 % of its CPU time.
 */
export class LinkedList<T extends Linked<T>> {
  size = 0;
  #first: T | undefined;
  #last: T | undefined;

  add(entry: T): void {
    const last = this.#last;
    entry.previous = last;
    if (last === undefined) this.#first = entry;
    else last.next = entry;
    this.#last = entry;
    this.size++;
  }

  delete(entry: T): void {
    const { previous, next } = entry;
    if (previous === undefined) this.#first = next;
    else previous.next = next;
    if (next === undefined) this.#last = previous;
    else next.previous = previous;
    entry.previous = entry.next = undefined;
    this.size--;
  }

  /** A copy: the list may change while the caller works on it. */
  toArray(): T[] {
    const entries: T[] = [];
    for (let at = this.#first; at !== undefined; at = at.next) entries.push(at);
    return entries;
  }
}
