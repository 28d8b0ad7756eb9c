import {
  assertEquals,
  assertInstanceOf,
  assertStrictEquals,
  assertThrows,
} from "@std/assert";
import {
  background,
  Canceled,
  cause,
  type Context,
  DeadlineExceeded,
  todo,
  withCancel,
  withoutCancel,
  withTimeout,
} from "@curfew/context";

const long = 3_600_000;
const P = new Error("P");
const C = new Error("C");
const T = new Error("T");
const F = new Error("F");

type Err = typeof Canceled | typeof DeadlineExceeded | undefined;

/** A context, the class of its err, and its cause if that is not err itself. */
type Built = [ctx: Context, err: Err, cause?: Error];

/** The contexts of each case, and the err and cause that each must have. */
const table: [name: string, build: () => Built[]][] = [
  ["background, todo", () => [[background(), undefined], [todo(), undefined]]],
  ["cancel()", () => {
    const ctx = withCancel(background());
    ctx.cancel();
    return [[ctx, Canceled]];
  }],
  ["cancel(P)", () => {
    const ctx = withCancel(background());
    ctx.cancel(P);
    return [[ctx, Canceled, P]];
  }],
  ["cancel(undefined)", () => {
    const ctx = withCancel(background());
    ctx.cancel(undefined);
    return [[ctx, Canceled]];
  }],
  ["cancel(null)", () => {
    const ctx = withCancel(background());
    ctx.cancel(null);
    return [[ctx, Canceled]];
  }],
  ["parent.cancel(P), then child.cancel(C)", () => {
    const parent = withCancel(background());
    const child = withCancel(parent);
    parent.cancel(P);
    child.cancel(C);
    return [[parent, Canceled, P], [child, Canceled, P]];
  }],
  ["child.cancel(C), then parent.cancel(P)", () => {
    const parent = withCancel(background());
    const child = withCancel(parent);
    child.cancel(C);
    parent.cancel(P);
    return [[parent, Canceled, P], [child, Canceled, C]];
  }],
  ["parent.cancel(P), then plain child.cancel()", () => {
    const parent = withCancel(background());
    const child = withCancel(parent);
    parent.cancel(P);
    child.cancel();
    return [[parent, Canceled, P], [child, Canceled, P]];
  }],
  ["plain child.cancel(), then parent.cancel(P)", () => {
    const parent = withCancel(background());
    const child = withCancel(parent);
    child.cancel();
    parent.cancel(P);
    return [[parent, Canceled, P], [child, Canceled]];
  }],
  ["plain parent.cancel(), then child.cancel(C)", () => {
    const parent = withCancel(background());
    const child = withCancel(parent);
    parent.cancel();
    child.cancel(C);
    return [[parent, Canceled], [child, Canceled]];
  }],
  ["child.cancel(C), then plain parent.cancel()", () => {
    const parent = withCancel(background());
    const child = withCancel(parent);
    child.cancel(C);
    parent.cancel();
    return [[parent, Canceled], [child, Canceled, C]];
  }],
  ["withTimeout(0), then cancel()", () => {
    const ctx = withTimeout(background(), 0);
    ctx.cancel();
    return [[ctx, DeadlineExceeded]];
  }],
  ["withTimeout(long), then cancel()", () => {
    const ctx = withTimeout(background(), long);
    ctx.cancel();
    return [[ctx, Canceled]];
  }],
  ["withTimeout(0, cause T), then cancel()", () => {
    const ctx = withTimeout(background(), 0, { cause: T });
    ctx.cancel();
    return [[ctx, DeadlineExceeded, T]];
  }],
  ["withTimeout(long, cause T), then cancel()", () => {
    const ctx = withTimeout(background(), long, { cause: T });
    ctx.cancel();
    return [[ctx, Canceled]];
  }],
  ["parent; child withTimeout(0, cause T); parent.cancel(F)", () => {
    const parent = withCancel(background());
    const child = withTimeout(parent, 0, { cause: T });
    parent.cancel(F);
    return [[parent, Canceled, F], [child, DeadlineExceeded, T]];
  }],
  ["parent; child withTimeout(long, cause T); parent.cancel(F)", () => {
    const parent = withCancel(background());
    const child = withTimeout(parent, long, { cause: T });
    parent.cancel(F);
    return [[parent, Canceled, F], [child, Canceled, F]];
  }],
  ["withoutCancel(background)", () => {
    return [[withoutCancel(background()), undefined]];
  }],
  ["withoutCancel(x), then x.cancel(F)", () => {
    const x = withCancel(background());
    const ctx = withoutCancel(x);
    x.cancel(F);
    return [[x, Canceled, F], [ctx, undefined]];
  }],
  ["withoutCancel(withTimeout(0, cause T))", () => {
    const ctx = withoutCancel(withTimeout(background(), 0, { cause: T }));
    return [[ctx, undefined]];
  }],
];

for (const [name, build] of table) {
  Deno.test(`cause() of: ${name}`, () => {
    for (const [ctx, err, given] of build()) {
      if (err === undefined) assertEquals(ctx.err, undefined);
      else assertInstanceOf(ctx.err, err);
      assertStrictEquals(cause(ctx), given ?? ctx.err);
    }
  });
}

for (const given of [0, "", false, NaN]) {
  Deno.test(`cancel() takes ${given === "" ? '""' : given} for a cause`, () => {
    const ctx = withCancel(background());
    ctx.cancel(given);
    assertStrictEquals(cause(ctx), given);
    assertStrictEquals(ctx.err?.cause, given);
    assertStrictEquals(cause(withCancel(ctx)), given);
  });
}

Deno.test("cause() in a listener is the final one already, for every context of the tree", () => {
  const root = withCancel(background());
  const contexts = [
    root,
    withCancel(root),
    withTimeout(withCancel(root), long),
  ];
  const seen: unknown[] = [];
  for (const ctx of contexts) {
    assertEquals(cause(ctx), undefined);
    ctx.signal.addEventListener("abort", () => seen.push(contexts.map(cause)));
  }
  root.cancel(P);
  assertEquals(seen, [[P, P, P], [P, P, P], [P, P, P]]);
});

Deno.test("cause() in a listener that cancels a descendant with another is the first one", () => {
  const root = withCancel(background());
  const child = withCancel(withCancel(root));
  root.signal.addEventListener("abort", () => child.cancel(C));
  root.cancel(P);
  assertStrictEquals(cause(child), P);
});

for (const wrong of [null, undefined, {}, new AbortController()]) {
  Deno.test(`cause(${wrong}) is a TypeError`, () => {
    assertThrows(() => cause(wrong as unknown as Context), TypeError, "cause");
  });
}
