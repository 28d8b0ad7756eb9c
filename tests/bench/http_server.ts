/**
 * One server of the HTTP benchmark, in a process of its own: takes the name of a
 * variant, writes its port, and then for every line that it reads the µs of CPU
 * time it has used up to then, with all of its threads.
 *
 * @module
 */

import {
  background,
  type HttpHandler,
  serveHttp,
  withTimeout,
} from "@curfew/context";
import { inspect } from "@curfew/context/inspect";
import process from "node:process";

type RawHandler = (
  request: Request,
  info: Deno.ServeHandlerInfo<Deno.NetAddr>,
) => Response;

const here = { hostname: "127.0.0.1", port: 0 };

function raw(handler: RawHandler): number {
  return Deno.serve({ ...here, onListen: () => {} }, handler).addr.port;
}

function ours(handler: HttpHandler): number {
  return (serveHttp(background(), here, handler).addr as Deno.NetAddr).port;
}

function over(): void {}

/** The name of each and how to start it; it gives the port. */
export const variants: Record<string, () => number> = {
  "Deno.serve": () => raw((_request, _info) => new Response("hello")),
  "Deno.serve, info.completed": () =>
    raw((_request, info) => {
      info.completed.then(over, over);
      return new Response("hello");
    }),
  "serveHttp": () => ours((_ctx, _request) => new Response("hello")),
  "serveHttp, inspect()": () => {
    inspect();
    return ours((_ctx, _request) => new Response("hello"));
  },
  "serveHttp, inspect({ stacks: 0.01 })": () => {
    inspect({ stacks: 0.01 });
    return ours((_ctx, _request) => new Response("hello"));
  },
  "serveHttp, ctx.signal": () =>
    ours((ctx, _request) =>
      new Response(ctx.signal.aborted ? "gone" : "hello")
    ),
  "serveHttp, withTimeout": () =>
    ours((ctx, _request) => {
      using _step = withTimeout(ctx, 1000);
      return new Response("hello");
    }),
  "Deno.serve, request.signal": () =>
    raw((request, _info) =>
      new Response(request.signal.aborted ? "gone" : "hello")
    ),
  "Deno.serve, any() with a timer": () =>
    raw((request, _info) => {
      const own = new AbortController();
      const timer = setTimeout(() => own.abort(), 1000);
      const signal = AbortSignal.any([request.signal, own.signal]);
      const response = new Response(signal.aborted ? "gone" : "hello");
      clearTimeout(timer);
      return response;
    }),
};

if (import.meta.main) {
  console.log(variants[Deno.args[0]!]!());
  for await (const _line of Deno.stdin.readable) {
    const { user, system } = process.cpuUsage();
    console.log(user + system);
  }
}
