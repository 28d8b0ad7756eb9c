/** All deadlines of the process, in order of time, behind one alarm. */

/** What waits in the queue. */
export interface QueuedDeadline {
  /** When it is due, in ms since the epoch; moved by the queue with a clock that is. */
  at: number;
  /** Where it stands in the queue, below 0 while it does not; kept by the queue. */
  place: number;
  /** Which it is of all that were ever added; kept by the queue. */
  order: number;
  /** Called once it is due, after it has been taken out. */
  expire(): void;
}

/** The place of what waits for a turn of the event loop, whatever the time. */
const atTurn = -2;

/** What a look at both clocks has shown: the wall clock, and one that nobody sets. */
interface ClockLook {
  /** The first that was added after it. */
  readonly from: number;
  /** How far the wall clock was before the other, in ms. */
  offset: number;
}

/** One `AbortSignal.timeout`. */
interface Alarm {
  readonly signal: AbortSignal;
  /** What it was set for; it serves all that is due then or later. */
  at: number;
  /** When it rings, by the clock as it was when it was set. */
  rings: number;
  /** How far the wall clock was before the other when it was set, in ms. */
  offset: number;
  /** A later one that was set before, and has not been needed since. */
  readonly outer: Alarm | undefined;
}

/** Timers of the platform take a signed 32-bit number of ms (#32858). */
const longestAlarm = 2 ** 31 - 1;

/**
 * How often, in ms, it is looked whether a test's clock is still installed.
 * Nothing tells when one is restored, and its alarms die with it.
 */
const clockCheck = 1_000;

/** The clock that was there first: the real one. */
const realTimeout = AbortSignal.timeout;
const realDate = Date;
const realNow = Date.now;

/**
 * In ms: the wall clock is taken for put back by more than this only. What is less
 * makes a deadline that much late.
 */
const setBack = 1_000;

/**
 * Keeps the process alive until the function it returns is called. Only where an
 * alarm that is listened to does not: in Node, not in Deno or a browser.
 */
const keepAlive = "process" in globalThis && !("Deno" in globalThis)
  ? holdNode.bind(undefined, setInterval, clearInterval)
  : undefined;

function holdNode(
  set: typeof setInterval,
  clear: typeof clearInterval,
): () => void {
  const timer = set(() => {}, longestAlarm);
  return () => clear(timer);
}

/**
 * A binary heap by time, and one `AbortSignal.timeout` for its first entry.
 *
 * The alarm cannot be cleared, so it is kept for as long as it rings early
 * enough. An earlier one is put before it, and the later is there again when
 * that has rung: else every short wait beside a deadline far off would leave one
 * more alarm to the platform for all that time. It holds the process open
 * exactly while it has a listener, so it has one while somebody listens to a
 * context in the queue ({@linkcode hold}) and none otherwise: what nobody
 * listens to is found by those who look.
 */
class DeadlineQueue {
  readonly #heap: QueuedDeadline[] = [];
  /** What waits for a turn, in the order in which it came. */
  #turn = new Set<QueuedDeadline>();
  #added = 0;
  /** How many listen to a context with a deadline. */
  #held = 0;
  #alarm: Alarm | undefined;
  /** The `AbortSignal.timeout` that made the alarms: tests replace it. */
  #clock: typeof AbortSignal.timeout | undefined;
  /** When it was armed last, by a clock of a test. */
  #armedAt = NaN;
  #listening = false;
  #keepAlive: (() => void) | undefined;
  #releasing = false;
  #checking = false;
  /** When the last was added, by the wall clock. */
  #addedAt = -Infinity;
  /** How far the wall clock was before the other at the last look, in ms. */
  #offset = Date.now() - performance.now();
  /** How many had been added by then. */
  #addedBefore = 0;
  /** The looks that found the wall clock put on, each further than the one before. */
  readonly #looks: ClockLook[] = [{ from: 0, offset: this.#offset }];

  add(entry: QueuedDeadline, now: number): void {
    const first = this.#heap[0];
    // With nobody listening no alarm rings, and nobody is there to be surprised.
    if (first !== undefined && first.at <= now && this.#held === 0) {
      this.#expire(now);
    }
    this.#forgetOverdue(now);
    if (now < this.#addedAt - setBack) this.#followSetBack(now);
    this.#addedAt = now;
    entry.order = this.#added++;
    this.#heap.push(entry);
    this.#up(entry, this.#heap.length - 1);
    if (this.#held > 0) this.#arm();
  }

  /**
   * Expires `entry` when the event loop has turned. Nobody who looks at the clock
   * before does: he would keep the loop from turning.
   */
  addTurn(entry: QueuedDeadline): void {
    entry.place = atTurn;
    entry.order = this.#added++;
    this.#turn.add(entry);
    if (this.#held > 0) this.#arm();
  }

  /** Takes `entry` out; false if it was not in. */
  remove(entry: QueuedDeadline): boolean {
    const { place } = entry;
    if (place === -1) return false;
    entry.place = -1;
    if (place === atTurn) this.#turn.delete(entry);
    else this.#takeOut(entry, place);
    return true;
  }

  #takeOut(entry: QueuedDeadline, place: number): void {
    const last = this.#heap.pop()!;
    if (last === entry) return;
    if (isBefore(last, entry)) this.#up(last, place);
    else this.#down(last, place);
  }

  /** Somebody listens to a context with a deadline, until {@linkcode release}. */
  hold(): void {
    this.#held++;
    this.#arm();
  }

  release(): void {
    this.#held--;
    if (this.#held > 0 || this.#releasing || !this.#listening) return;
    // The process ends when nothing holds it after the microtasks, so a burst of
    // contexts costs one listener removed, not one each.
    this.#releasing = true;
    queueMicrotask(this.#letGo);
  }

  /** Ends what is due, whoever has been too busy to hear the alarm. */
  expireDue(): void {
    if (this.#heap.length > 0) this.#expire(Date.now());
  }

  /** Sees to it that the alarm is on the clock that is installed now. */
  followClock(): void {
    if (this.#held === 0) return;
    const clock = AbortSignal.timeout;
    // The next of two test's clocks has the function of the last, not its time.
    const isOther = clock !== this.#clock ||
      (clock !== realTimeout && Date.now() !== this.#armedAt);
    if (isOther) this.#arm();
  }

  readonly #letGo = (): void => {
    this.#releasing = false;
    if (this.#held === 0) this.#unlisten();
  };

  #listen(): void {
    if (this.#listening) return;
    this.#listening = true;
    this.#alarm!.signal.addEventListener("abort", this.#ring);
    this.#keepAlive = keepAlive?.();
  }

  #unlisten(): void {
    if (!this.#listening) return;
    this.#listening = false;
    this.#alarm?.signal.removeEventListener("abort", this.#ring);
    this.#keepAlive?.();
  }

  /** When the alarm is wanted next; undefined if it is not. */
  get #next(): number | undefined {
    return this.#turn.size > 0 ? -Infinity : this.#heap[0]?.at;
  }

  #arm(): void {
    const at = this.#next;
    if (at === undefined) return;
    const clock = AbortSignal.timeout;
    // A test's clock may be another than the last, though it is the same
    // function.
    if (clock !== this.#clock || clock !== realTimeout) {
      this.#unlisten();
      this.#alarm = undefined;
      this.#clock = clock;
    } else if (!this.#listening && this.#alarm !== undefined) {
      this.#forgetOverdue(Date.now());
      // What nobody listened to may have gone off unheard.
      while (this.#alarm?.signal.aborted) this.#alarm = this.#alarm.outer;
    }
    if (this.#alarm === undefined || at < this.#alarm.at) {
      this.#unlisten();
      const now = Date.now();
      this.#followSetBack(now);
      const next = this.#next!;
      const delay = Math.min(Math.max(0, next - now), longestAlarm);
      this.#alarm = {
        signal: AbortSignal.timeout(Math.ceil(delay)),
        at: Math.min(next, now + delay),
        rings: now + delay,
        offset: this.#offset,
        outer: this.#alarm,
      };
    }
    this.#listen();
    if (clock !== realTimeout) {
      this.#armedAt = Date.now();
      this.#checkClock();
    }
  }

  /**
   * Lets go of alarms that should have rung before `now`. Where the event loop is
   * only busy, that costs another; where the clock was put on, or the machine has
   * slept, they ring by a clock of their own, who knows when.
   */
  #forgetOverdue(now: number): void {
    while (this.#alarm !== undefined && this.#alarm.rings < now) {
      this.#unlisten();
      this.#alarm = this.#alarm.outer;
    }
  }

  /**
   * Where the wall clock was put back, what was added before goes back with it: it
   * would wait for the old time to come round again. Not by more than the clock was
   * since, though: it may have been put on in between. What was added since the last
   * look may be of the old time or the new, and is taken for what makes it late, and
   * never early.
   */
  #followSetBack(now: number): void {
    // A test's clock may be anywhere.
    if (Date !== realDate || Date.now !== realNow) return;
    const offset = now - performance.now();
    const known = now < this.#addedAt ? this.#added : this.#addedBefore;
    this.#offset = offset;
    this.#addedBefore = this.#added;
    const last = this.#looks.at(-1)!;
    if (offset > last.offset + setBack) {
      this.#looks.push({ from: this.#added, offset });
    } else if (offset < last.offset - setBack) {
      this.#takeBack(offset, known);
    } else {
      last.offset = Math.min(last.offset, offset);
    }
  }

  /** Takes back what is among the first `known` that were added, and the alarms. */
  #takeBack(offset: number, known: number): void {
    for (const entry of this.#heap) {
      if (entry.order >= known) continue;
      const look = this.#looks.findLast(({ from }) => from <= entry.order)!;
      const back = Math.floor(look.offset - offset);
      if (back > 0) entry.at -= back;
    }
    this.#heap.sort((one, other) => isBefore(one, other) ? -1 : 1);
    for (const [place, entry] of this.#heap.entries()) entry.place = place;
    for (let alarm = this.#alarm; alarm !== undefined; alarm = alarm.outer) {
      const back = Math.floor(alarm.offset - offset);
      if (back <= 0) continue;
      alarm.at -= back;
      alarm.rings -= back;
      alarm.offset = offset;
    }
    let from = known;
    while (this.#looks.length > 0 && this.#looks.at(-1)!.offset >= offset) {
      from = this.#looks.pop()!.from;
    }
    this.#looks.push({ from, offset });
  }

  readonly #ring = (event: Event): void => {
    const alarm = this.#alarm;
    if (alarm === undefined || event.target !== alarm.signal) return;
    const looked = Date.now();
    this.#followSetBack(looked);
    // What the alarm was set for is due even if the wall clock was put back a
    // little, or is a fraction of a ms behind the timer.
    const now = this.#clock === AbortSignal.timeout
      ? Math.max(looked, alarm.rings)
      : looked;
    this.#unlisten();
    this.#alarm = alarm.outer;
    this.#turned(now);
    if (this.#held > 0) this.#arm();
  };

  /** While a test's clock is installed: is it still? */
  #checkClock(): void {
    if (this.#checking) return;
    this.#checking = true;
    realTimeout.call(AbortSignal, clockCheck).addEventListener("abort", () => {
      this.#checking = false;
      if (this.#held === 0) return;
      this.#turned(Date.now());
      if (this.#held > 0) this.#arm();
    });
  }

  /** The event loop has turned. */
  #turned(now: number): void {
    if (this.#turn.size > 0) {
      // What comes now waits for the next one.
      const turn = this.#turn;
      this.#turn = new Set();
      for (const entry of turn) {
        this.#expire(now, entry);
        if (this.remove(entry)) entry.expire();
      }
    }
    this.#expire(now);
  }

  /** Ends what is due; where `next` is given, only what comes before that. */
  #expire(now: number, next?: QueuedDeadline): void {
    for (let first; (first = this.#heap[0]) && first.at <= now;) {
      if (next !== undefined && isBefore(next, first)) return;
      this.remove(first);
      first.expire();
    }
  }

  #up(entry: QueuedDeadline, place: number): void {
    const heap = this.#heap;
    while (place > 0) {
      const above = (place - 1) >> 1;
      const other = heap[above]!;
      if (isBefore(other, entry)) break;
      heap[place] = other;
      other.place = place;
      place = above;
    }
    heap[place] = entry;
    entry.place = place;
  }

  #down(entry: QueuedDeadline, place: number): void {
    const heap = this.#heap;
    const { length } = heap;
    for (;;) {
      let below = 2 * place + 1;
      if (below >= length) break;
      if (below + 1 < length && isBefore(heap[below + 1]!, heap[below]!)) {
        below++;
      }
      const other = heap[below]!;
      if (isBefore(entry, other)) break;
      heap[place] = other;
      other.place = place;
      place = below;
    }
    heap[place] = entry;
    entry.place = place;
  }
}

/** What is due at the same time is due in the order in which it was added. */
function isBefore(one: QueuedDeadline, other: QueuedDeadline): boolean {
  return one.at < other.at || (one.at === other.at && one.order < other.order);
}

/** The one queue. */
export const deadlines: DeadlineQueue = new DeadlineQueue();
