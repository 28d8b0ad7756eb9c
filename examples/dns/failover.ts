/**
 * Several upstream servers that stand in for each other.
 *
 * @module
 */

import {
  Canceled,
  type Context,
  DeadlineExceeded,
  type Group,
  remaining,
  sleep,
  withTimeout,
} from "@curfew/context";
import { getLogger } from "@std/log";
import { rcodeText } from "./text.ts";
import type { Transport } from "./upstream.ts";
import { type Query, Rcode, rcodeOf } from "./wire.ts";

/** A server that can be asked; {@link Upstream} is one. */
export interface Server {
  readonly name: string;
  readonly transport: Transport;
  /** Resolves with the reply to `query`; rejects if there is none until `ctx` is done. */
  ask(ctx: Context, query: Query): Promise<Uint8Array>;
  /** Resolves once the server has shown that it is alive. */
  check(ctx: Context): Promise<void>;
}

/** A reply, and the name of the server that gave it. */
export interface Answer {
  readonly message: Uint8Array;
  readonly from: string;
}

/** Reasons for which a server is asked in vain. */
export type Failure = "timeout" | "refused" | "error";

/** A server with its state and its counters. */
export interface Candidate {
  readonly server: Server;
  /** False from a failure until a check has succeeded. */
  up: boolean;
  asked: number;
  readonly failures: Record<Failure, number>;
  /** Replies by rcode. */
  readonly replies: Map<string, number>;
}

/** Rcodes after which another server is asked, as the resolver of glibc does. */
const refusals: readonly number[] = [
  Rcode.SERVFAIL,
  Rcode.NOTIMP,
  Rcode.REFUSED,
];

/** Time limit of a check, and the first and the longest pause between two, in ms. */
const CHECK = { timeout: 2_000, first: 500, max: 30_000 };

/**
 * Asks the first server that is up. If it fails or refuses, the next one is asked
 * within the deadline of the query, and so on. A server that failed comes after
 * the others until it has answered a check; checks go on in the background, with
 * longer and longer pauses.
 */
export class Failover {
  readonly candidates: readonly Candidate[];
  readonly #chores: Group;

  /**
   * @param servers In order of preference.
   * @param chores The group that runs the checks.
   */
  constructor(servers: readonly Server[], chores: Group) {
    this.#chores = chores;
    this.candidates = servers.map((server) => ({
      server,
      up: true,
      asked: 0,
      failures: { timeout: 0, refused: 0, error: 0 },
      replies: new Map(),
    }));
  }

  /**
   * Resolves with the first answer, or if every server refuses or fails, with the
   * last refusal. Rejects if no server has replied.
   */
  async ask(ctx: Context, query: Query): Promise<Answer> {
    const order = [
      ...this.candidates.filter(({ up }) => up),
      ...this.candidates.filter(({ up }) => !up),
    ];
    let refusal: Answer | undefined;
    let failure: unknown;
    for (const [i, candidate] of order.entries()) {
      if (ctx.err !== undefined) break;
      // The last one may take all the time that is left.
      using share = withTimeout(ctx, remaining(ctx) / (order.length - i));
      try {
        const answer = await this.#ask(share, candidate, query);
        if (!refusals.includes(rcodeOf(answer.message))) return answer;
        refusal = answer;
      } catch (error) {
        failure = error;
      }
    }
    if (refusal !== undefined) return refusal;
    throw failure;
  }

  async #ask(
    ctx: Context,
    candidate: Candidate,
    query: Query,
  ): Promise<Answer> {
    const { server, replies } = candidate;
    candidate.asked++;
    try {
      const message = await server.ask(ctx, query);
      const rcode = rcodeText(rcodeOf(message));
      replies.set(rcode, (replies.get(rcode) ?? 0) + 1);
      return { message, from: server.name };
    } catch (error) {
      // A client that left says nothing about the server.
      if (!(ctx.err instanceof Canceled)) this.#failed(candidate, error);
      throw error;
    }
  }

  #failed(candidate: Candidate, error: unknown): void {
    const failure = failureOf(error);
    candidate.failures[failure]++;
    if (!candidate.up) return;
    candidate.up = false;
    const { name, transport } = candidate.server;
    getLogger().warn(`upstream ${name} (${transport}) is down: ${failure}`);
    this.#chores.go((ctx) => revive(ctx, candidate));
  }
}

/** Checks a server until it answers. */
async function revive(ctx: Context, candidate: Candidate): Promise<void> {
  const { server } = candidate;
  for (let pause = CHECK.first;; pause = Math.min(2 * pause, CHECK.max)) {
    using step = withTimeout(ctx, CHECK.timeout);
    try {
      await server.check(step);
      break;
    } catch {
      await sleep(ctx, pause);
    }
  }
  candidate.up = true;
  getLogger().info(`upstream ${server.name} (${server.transport}) is up again`);
}

function failureOf(error: unknown): Failure {
  if (error instanceof DeadlineExceeded) return "timeout";
  return error instanceof Deno.errors.ConnectionRefused ? "refused" : "error";
}
