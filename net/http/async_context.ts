/** The context of a request for copies of it, by AsyncLocalStorage. */

import { AsyncLocalStorage } from "node:async_hooks";
import type { Context } from "../../context/context.ts";
import type { HttpHandler } from "./http_server.ts";

/** Created for the first server that asks for it. */
let storage: AsyncLocalStorage<Context> | undefined;

/** Returns a handler in which {@linkcode asyncContext} is the ctx of the request. */
export function withAsyncContext(handler: HttpHandler): HttpHandler {
  const created = storage ??= new AsyncLocalStorage();
  return (ctx, request) => created.run(ctx, handler, ctx, request);
}

/** The ctx of the request that is being handled; undefined if there is none. */
export function asyncContext(): Context | undefined {
  return storage?.getStore();
}
