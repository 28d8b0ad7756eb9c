/** Events for a reader that may be slow. */

import { type EndedContext, endedContext, identity } from "./ended_context.ts";
import type { ContextKind } from "./kind.ts";
import type { Facts, RecordedEnd } from "./recorder.ts";
import type { Node } from "../tree.ts";

/** Something that happened to a context. Plain JSON. */
export type InspectEvent =
  | {
    /** A context was created. */
    readonly type: "created";
    /** Number of the context within its inspector. */
    readonly id: number;
    /** The call that made it. */
    readonly label: string;
    /** Kind of work that it is for. */
    readonly kind: ContextKind;
    /** Name of its work. */
    readonly name?: string;
    /** Line that created it, if its stack was sampled. */
    readonly site?: string;
  }
  | {
    /** A context ended. */
    readonly type: "ended";
    /** The context. */
    readonly context: EndedContext;
  }
  | {
    /** Events were dropped, since this reader was too slow. */
    readonly type: "lost";
    /** Number of events. */
    readonly count: number;
  };

/** An event that has not been put into words. */
type RawEvent = RecordedEnd | { readonly node: Node; readonly facts: Facts };

/** Number of events that wait for a reader. */
const maxEvents = 1_000;

/** Bounded queue of events for one reader. */
export class EventQueue implements AsyncIterableIterator<InspectEvent> {
  readonly #unsubscribe: () => void;
  #events: (RawEvent | InspectEvent)[] = [];
  #lost = 0;
  #isClosed = false;
  /** Readers that wait; they get events in order. */
  #waiting: (() => void)[] = [];

  /** @param subscribe Sends events here until its result is called. */
  constructor(subscribe: (queue: EventQueue) => () => void) {
    this.#unsubscribe = subscribe(this);
  }

  /** Adds an event, or counts it as lost if the queue is full. */
  push(event: RawEvent): void {
    if (this.#events.length >= maxEvents) this.#lost++;
    else this.#events.push(event);
    this.#waiting.shift()?.();
  }

  /** Puts the events into words, so that a slow reader keeps no context alive. */
  age(): void {
    this.#events = this.#events.map(inWords);
  }

  /** Ends the iteration once the queue has been read. */
  close(): void {
    this.#isClosed = true;
    for (const resolve of this.#waiting.splice(0)) resolve();
  }

  async next(): Promise<IteratorResult<InspectEvent>> {
    for (;;) {
      const event = this.#take();
      if (event !== undefined) return { done: false, value: event };
      if (this.#isClosed) return { done: true, value: undefined };
      await new Promise<void>((resolve) => this.#waiting.push(resolve));
    }
  }

  return(): Promise<IteratorResult<InspectEvent>> {
    this.#unsubscribe();
    this.#events = [];
    this.#lost = 0;
    this.close();
    return Promise.resolve({ done: true, value: undefined });
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  #take(): InspectEvent | undefined {
    const event = this.#events.shift();
    if (event !== undefined) return inWords(event);
    if (this.#lost === 0) return undefined;
    const count = this.#lost;
    this.#lost = 0;
    return { type: "lost", count };
  }
}

function inWords(event: RawEvent | InspectEvent): InspectEvent {
  if ("type" in event) return event;
  return "ending" in event
    ? { type: "ended", context: endedContext(event) }
    : { type: "created", ...identity(event.node, event.facts) };
}
