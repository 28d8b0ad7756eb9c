/**
 * Several upstream servers that stand in for each other.
 *
 * @module
 */

import {
  cause,
  type Context,
  DeadlineExceeded,
  type Group,
  remaining,
  retry,
  type RetryOptions,
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

/** Checks go on for as long as the service, with pauses of up to 30 s. */
const CHECKS: RetryOptions = {
  attempts: Infinity,
  attemptTimeout: 2_000,
  backoff: { first: 500, max: 30_000 },
};

/**
 * Asks the first server that is up. If it fails or refuses, the next one is asked
 * within the deadline of the query, and so on. A server that failed comes after
 * the others until it has answered a check; checks go on in the background, with
 * longer and longer pauses.
 */
export class Failover {
  readonly candidates: readonly Candidate[];
  readonly #checks: Group;

  /**
   * @param servers In order of preference.
   * @param checks The group that runs the checks.
   */
  constructor(servers: readonly Server[], checks: Group) {
    this.#checks = checks;
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
    const order = this.#order();
    let refusal: Answer | undefined;
    try {
      return await retry(ctx, async (ctx, attempt) => {
        // The servers left share the time left, so the last one has all of it.
        const left = order.length - attempt + 1;
        using share = withTimeout(ctx, remaining(ctx) / left);
        const answer = await this.#ask(share, order[attempt - 1]!, query);
        if (!refusals.includes(rcodeOf(answer.message))) return answer;
        refusal = answer;
        throw new Error(`${answer.from} refuses`);
      }, { attempts: order.length, backoff: { first: 0 } });
    } catch (error) {
      if (refusal !== undefined) return refusal;
      throw error;
    }
  }

  /** Servers that are up, then the others. */
  #order(): Candidate[] {
    return [
      ...this.candidates.filter(({ up }) => up),
      ...this.candidates.filter(({ up }) => !up),
    ];
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
      const failure = failureOf(ctx, error);
      if (failure !== undefined) this.#failed(candidate, failure);
      throw error;
    }
  }

  #failed(candidate: Candidate, failure: Failure): void {
    candidate.failures[failure]++;
    if (!candidate.up) return;
    candidate.up = false;
    this.#checks.go((ctx) => revive(ctx, candidate, failure));
  }
}

/**
 * Checks a server until it answers. If the first check succeeds, a message was
 * lost, which happens and is not logged.
 */
async function revive(
  ctx: Context,
  candidate: Candidate,
  failure: Failure,
): Promise<void> {
  const { server } = candidate;
  const label = `upstream ${server.name} (${server.transport})`;
  let checks = 0;
  await retry(ctx, (ctx, attempt) => {
    checks = attempt;
    if (attempt === 2) getLogger().warn(`${label} is down: ${failure}`);
    return server.check(ctx);
  }, CHECKS);
  candidate.up = true;
  if (checks > 1) getLogger().info(`${label} is up again`);
}

/** The fault of a server. Undefined if the client left, which is none. */
function failureOf(ctx: Context, error: unknown): Failure | undefined {
  // The deadline may be that of the client, which is then the cause.
  if (ctx.err !== undefined) {
    return cause(ctx) instanceof DeadlineExceeded ? "timeout" : undefined;
  }
  return error instanceof Deno.errors.ConnectionRefused ? "refused" : "error";
}
