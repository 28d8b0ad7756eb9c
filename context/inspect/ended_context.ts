/** Contexts that have ended, in words. */

import { label, type Node } from "../tree.ts";
import { lineOf } from "./line_of.ts";
import { type ContextKind, kindOf } from "./kind.ts";
import type { Facts, RecordedEnd } from "./recorder.ts";
import { textOf } from "./text_of.ts";

/** A context that has ended. Plain JSON. */
export interface EndedContext {
  /** Number of the context within its inspector. */
  readonly id: number;
  /** The call that made the context: `withCancel`; `withDeadline` for `withTimeout` too. */
  readonly label: string;
  /** Kind of work that it was for. */
  readonly kind: ContextKind;
  /** Name of its work: `GET /price`. */
  readonly name?: string;
  /** Time of its end, in ms since the epoch. */
  readonly endedAt: number;
  /** Its age in ms; not known for one that is older than the inspector. */
  readonly age?: number;
  /** Name of its err: `AbortError` or `TimeoutError`. */
  readonly err: string;
  /** Its cause, the cause of that, and so on. Empty if it has none. */
  readonly causes: readonly string[];
  /** Line that created it, if its stack was sampled. */
  readonly site?: string;
  /** Line that ended it, if its stack was sampled. */
  readonly endedBy?: string;
  /** Number of contexts below that ended with it and are not listed. */
  readonly others: number;
}

/** Number of causes that are shown. */
const maxCauses = 8;
/** Number of characters of a cause that are shown. */
const maxText = 500;

/** Puts an end into words. */
export function endedContext(end: RecordedEnd): EndedContext {
  const { node, facts, ending, age, by } = end;
  const endedBy = lineOf(by?.site);
  return {
    ...identity(node, facts),
    endedAt: end.at,
    ...(age !== undefined && { age }),
    err: ending.err.name,
    causes: ending.isPlain ? [] : causesOf(ending.cause, ending.err),
    ...(endedBy !== undefined && { endedBy }),
    others: end.others,
  };
}

/** Description of a context, open or not. */
export interface Identity {
  readonly id: number;
  readonly label: string;
  readonly kind: ContextKind;
  readonly name?: string;
  readonly site?: string;
}

/** Describes `node`. */
export function identity(node: Node, facts: Facts): Identity {
  const name = nameOf(facts);
  const site = lineOf(facts.site);
  return {
    id: facts.work?.id ?? facts.id,
    label: labelOf(node),
    kind: kindOf(node, facts),
    ...(name !== undefined && { name }),
    ...(site !== undefined && { site }),
  };
}

/**
 * Returns the label of `node`, for a deadline without its time: that is shown
 * apart, and differs between contexts of one place.
 */
export function labelOf(node: Node): string {
  try {
    return node[label].replace(/^withDeadline\(.*/s, "withDeadline");
  } catch {
    // The constructor of its class has thrown.
    return "a context";
  }
}

/** Returns the name of the work that a context is for. */
export function nameOf({ work }: Facts): string | undefined {
  try {
    return work?.describe().slice(0, maxText);
  } catch {
    return `${work!.purpose} without a description`;
  }
}

/** A chain of causes as text, without the error of the context itself. */
export function causesOf(cause: unknown, err?: Error): string[] {
  const causes: string[] = [];
  for (let at = cause; at !== undefined && at !== err; at = causeWithin(at)) {
    causes.push(textOf(at).slice(0, maxText));
    if (causes.length === maxCauses) break;
  }
  return causes;
}

/** Returns the cause of an error; undefined if it has none or cannot be read. */
function causeWithin(value: unknown): unknown {
  try {
    return value instanceof Error ? value.cause : undefined;
  } catch {
    return undefined;
  }
}
