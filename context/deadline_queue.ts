/**
 * All deadlines of the process, behind one alarm.
 *
 * Invariants:
 *
 * 1. The queue ends nothing itself. It hands out the entries that are due
 *    ({@linkcode DeadlineQueue.takeDue}) and calls `onDue` when there may be some.
 * 2. The alarm is set exactly while the queue is held and not empty. It is held
 *    while something waits for a context with a deadline. A deadline that nothing
 *    waits for keeps no process alive; reading the context notices it.
 * 3. The reference count has one owner: a node holds the queue from the moment it
 *    has both a deadline and a subscriber until it is marked (tree.ts).
 */

import { Alarm } from "./alarm.ts";
import { Clock } from "./clock.ts";
import { DeadlineHeap, type HeapFields, nowhere } from "./deadline_heap.ts";

/** The platform's: that of a test clock may run nothing until the clock ticks. */
const { queueMicrotask } = globalThis;

/** Access to the private fields of entries. */
export interface QueueFields<E> extends HeapFields<E> {
  /** Returns the time at which `entry` is due, in ms of the queue's clock. */
  at(entry: E): number;
}

/** The place of an entry that waits for a turn of the event loop. */
const inTurn = -2;

/** Entries in order of time, and a clock and an alarm to go with them. */
export class DeadlineQueue<E> {
  readonly clock: Clock;
  readonly #fields: QueueFields<E>;
  readonly #heap: DeadlineHeap<E>;
  readonly #alarm: Alarm;
  readonly #onDue: (now: number) => void;
  /** Entries that wait for a turn of the event loop, in order. */
  readonly #turn = new Set<E>();
  #holders = 0;
  #isReleasing = false;
  /** The time that the alarm is set for, if it is. */
  #alarmAt: number | undefined;

  constructor(fields: QueueFields<E>, onDue: (now: number) => void) {
    this.#fields = fields;
    this.#onDue = onDue;
    this.#heap = new DeadlineHeap(fields);
    this.#alarm = new Alarm((at) => this.#ring(at));
    this.clock = new Clock(() => {
      this.#alarm.forget();
      this.#alarmAt = undefined;
      this.#setAlarm();
    });
  }

  add(entry: E, now: number): void {
    // Without a holder no alarm rings, and overdue entries are found here.
    if (this.#holders === 0 && this.isDue(now)) this.#onDue(now);
    this.#heap.add(entry);
    if (this.#heap.first === entry) this.#setAlarm();
  }

  /** Adds an entry that is due when the event loop has turned, whatever the time. */
  addTurn(entry: E): void {
    this.#fields.move(entry, inTurn);
    this.#turn.add(entry);
    if (this.#turn.size === 1) this.#setAlarm();
  }

  /** Takes `entry` out if it is in. */
  remove(entry: E): void {
    const place = this.#fields.place(entry);
    if (place === nowhere) return;
    if (place !== inTurn) return this.#heap.remove(entry);
    this.#turn.delete(entry);
    this.#fields.move(entry, nowhere);
  }

  /** True if no deadline is pending: nothing can be due, whatever the time. */
  get isEmpty(): boolean {
    return this.#heap.first === undefined;
  }

  /** Returns whether anything is due at `now`. */
  isDue(now: number): boolean {
    const { first } = this.#heap;
    return first !== undefined && this.#fields.at(first) <= now;
  }

  /** Takes out the entry that is due first at `now`; undefined if none is. */
  takeDue(now: number): E | undefined {
    const entry = this.isDue(now) ? this.#heap.first : undefined;
    if (entry !== undefined) this.#heap.remove(entry);
    return entry;
  }

  /** Keeps the alarm set, for something that waits, until {@linkcode release}. */
  hold(): void {
    if (this.#holders++ === 0) this.#setAlarm();
  }

  release(): void {
    this.#holders--;
    if (this.#holders > 0 || this.#isReleasing) return;
    // Nothing ends the process before the microtasks have run, so a burst of
    // contexts releases the alarm once.
    this.#isReleasing = true;
    queueMicrotask(this.#releaseAlarm);
  }

  readonly #releaseAlarm = (): void => {
    this.#isReleasing = false;
    if (this.#holders > 0) return;
    // Another test clock may be installed, whose timers have the same ids.
    if (this.clock.isFake) this.clock.now();
    this.#alarm.release();
    this.#alarmAt = undefined;
  };

  /** Invariant 2. */
  #setAlarm(): void {
    if (this.#holders === 0) return;
    const at = this.#nextAt();
    if (at === undefined || this.#ringsBy(at)) return;
    this.#alarmAt = at;
    const now = this.clock.now();
    this.#alarm.set(Math.max(at, now), now);
  }

  /** Returns whether the alarm is set for `at` or earlier, and is not overdue. */
  #ringsBy(at: number): boolean {
    const alarmAt = this.#alarmAt;
    return alarmAt !== undefined && alarmAt <= at &&
      alarmAt >= this.clock.measured;
  }

  /** The time at which the alarm is needed, if it is; at once for a turn. */
  #nextAt(): number | undefined {
    if (this.#turn.size > 0) return -Infinity;
    const { first } = this.#heap;
    return first && this.#fields.at(first);
  }

  #ring(at: number): void {
    this.#alarmAt = undefined;
    this.clock.advanceTo(at);
    // The timer of a real clock may be a fraction of a ms early.
    const due = Math.max(this.clock.now(), at);
    try {
      this.#onDue(at > -Infinity ? this.#endTurn(due) : due);
    } finally {
      this.#setAlarm();
    }
  }

  /** Puts what waits for a turn among the rest; returns when all of it is due. */
  #endTurn(due: number): number {
    for (const entry of this.#turn) {
      this.#heap.add(entry);
      // Later than that by a little if the wall clock was stepped back meanwhile.
      due = Math.max(due, this.#fields.at(entry));
    }
    this.#turn.clear();
    return due;
  }
}
