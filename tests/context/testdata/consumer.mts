// Code of a user of the built package in Node; node_test.ts has TypeScript
// check it. Each line that must not check says so: types that are lost are any.

import {
  background,
  type Context,
  type ContextError,
  createKey,
  every,
  group,
  orDone,
  sleep,
  withTimeout,
  withValue,
} from "@curfew/context/context";

const userKey = createKey<string>("user");

export async function greet(ctx: Context): Promise<string> {
  using step = withTimeout(ctx, 500, { cause: "too slow" });
  await using tasks = group(step, { limit: 2 });
  await tasks.go((ctx) => sleep(ctx, 1));
  await tasks.wait();
  for await (const tick of every(step, 1)) {
    const count: number = tick;
    if (count > 2) break;
  }
  const user: string | undefined = step.value(userKey);
  return await orDone(step, Promise.resolve(`hello, ${user}`));
}

export const err: ContextError | undefined = background().err;
export const reply: Promise<Response> = fetch("data:,hello", background());

// @ts-expect-error a key is of one type
withValue(background(), userKey, 1);
// @ts-expect-error what has no cancel() cannot be ended
background().cancel();
// @ts-expect-error a number of ms, not a string
withTimeout(background(), "500");
