import { assertEquals, assertNotStrictEquals } from "@std/assert";
import {
  background,
  cause,
  createKey,
  remaining,
  snapshot,
  todo,
  withCancel,
  withTimeout,
} from "@curfew/context";

const key = createKey<string>("key");

for (
  const [name, root] of [["background", background], ["todo", todo]] as const
) {
  Deno.test(`${name}() is not done: no err, no cause, no deadline, no values`, () => {
    assertEquals(root().err, undefined);
    assertEquals(cause(root()), undefined);
    assertEquals(root().deadline, undefined);
    assertEquals(root().value(key), undefined);
    assertEquals(root().signal.aborted, false);
    assertEquals(remaining(root()), Infinity);
  });

  Deno.test(`${name}() stays open whatever becomes of its children`, () => {
    const child = withCancel(root());
    let settled = false;
    root().done.then(() => settled = true);
    child.cancel("child");
    assertEquals(root().err, undefined);
    assertEquals(root().signal.aborted, false);
    return Promise.resolve().then(() => assertEquals(settled, false));
  });

  Deno.test(`${name}() has nothing registered on it by its children`, () => {
    using _child = withCancel(root());
    using _step = withTimeout(root(), 1000);
    assertEquals(snapshot(root()), {
      label: name,
      afterFuncs: 0,
      children: [],
    });
  });

  Deno.test(`${name}() is the same context at every call`, () => {
    assertEquals(root() === root(), true);
    assertEquals(root().signal === root().signal, true);
  });

  Deno.test(`${name}() reads ${name}`, () => {
    assertEquals(String(root()), name);
  });
}

Deno.test("background() and todo() are two contexts", () => {
  assertNotStrictEquals(background(), todo());
});
