// Does a deadline keep its process alive? As it ends, each program prints the
// err of the context that it has returned.

import {
  afterFunc,
  background,
  type Context,
  withCancel,
  withoutCancel,
  withTimeout,
  withValue,
} from "@curfew/context";
import { createKey } from "@curfew/context";
import { Wrapper } from "../custom_context.ts";

const short = 50;
const hour = 3_600_000;
const key = createKey<string>("key");

const programs: Record<string, () => Context> = {
  "signal asked for"() {
    const ctx = withTimeout(background(), short);
    void ctx.signal;
    return ctx;
  },

  "listener added"() {
    const ctx = withTimeout(background(), short);
    ctx.signal.addEventListener("abort", () => {});
    return ctx;
  },

  "done asked for"() {
    const ctx = withTimeout(background(), short);
    void ctx.done;
    return ctx;
  },

  "signal of a descendant asked for"() {
    const ctx = withTimeout(background(), short);
    void withCancel(withCancel(ctx)).signal;
    return ctx;
  },

  "signal of a value context asked for"() {
    const ctx = withTimeout(background(), short);
    void withValue(ctx, key, "").signal;
    return ctx;
  },

  "signal through a wrapper asked for"() {
    const ctx = withTimeout(background(), short);
    void withCancel(new Wrapper(ctx)).signal;
    return ctx;
  },

  "afterFunc registered"() {
    const ctx = withTimeout(background(), short);
    afterFunc(ctx, () => {});
    return ctx;
  },

  "afterFunc on a descendant registered"() {
    const ctx = withTimeout(background(), short);
    afterFunc(withCancel(ctx), () => {});
    return ctx;
  },

  "one of two listened to"() {
    const ctx = withTimeout(background(), short);
    void ctx.signal;
    const other = withTimeout(background(), hour);
    void other.signal;
    other.cancel();
    return ctx;
  },

  "nobody listens"() {
    return withTimeout(background(), hour);
  },

  "nobody listens to a descendant"() {
    const ctx = withTimeout(background(), hour);
    withValue(withCancel(ctx), key, "");
    return ctx;
  },

  "listened to without a deadline"() {
    const ctx = withTimeout(background(), Infinity);
    ctx.signal.addEventListener("abort", () => {});
    void ctx.done;
    afterFunc(ctx, () => {});
    return ctx;
  },

  "canceled after the signal was asked for"() {
    const ctx = withTimeout(background(), hour);
    ctx.signal.addEventListener("abort", () => {});
    ctx.cancel();
    return ctx;
  },

  "canceled by its parent"() {
    const parent = withCancel(background());
    const ctx = withTimeout(parent, hour);
    void ctx.signal;
    void ctx.done;
    parent.cancel();
    return ctx;
  },

  "the listened descendant was canceled"() {
    const ctx = withTimeout(background(), hour);
    const child = withCancel(ctx);
    void child.signal;
    child.cancel();
    return ctx;
  },

  "afterFunc stopped"() {
    const ctx = withTimeout(background(), hour);
    const stop = afterFunc(ctx, () => {});
    stop();
    return ctx;
  },

  "withoutCancel under it is listened to"() {
    const ctx = withTimeout(background(), hour);
    withoutCancel(ctx).signal.addEventListener("abort", () => {});
    return ctx;
  },
};

const ctx = programs[Deno.args[0]!]!();
addEventListener("unload", () => console.log(ctx.err?.name ?? "open"));
