// The page of inspectRoutes in Chromium, if it is installed.

import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import {
  background,
  type CancelableContext,
  createKey,
  group,
  type HttpServer,
  serveHttp,
  SignalError,
  withCancel,
  withTimeout,
  withValue,
} from "@curfew/context";
import { inspect, inspectRoutes } from "@curfew/context/inspect";
import { Browser, chromium } from "../../examples/statsd_browser.ts";

/** Markup in names, which may contain any text. */
const nasty = `<img src=x onerror="document.title='owned'"></td><b>`;

const nastyKey = createKey<number>(nasty);

/** A server whose requests wait until they are released or canceled. */
class Stalled implements AsyncDisposable {
  readonly ctx: CancelableContext = withCancel(background());
  readonly server: HttpServer;
  readonly release: PromiseWithResolvers<void> = Promise.withResolvers();
  readonly #replies: Promise<unknown>[] = [];
  #arrived = 0;
  #onArrival: (() => void) | undefined;

  constructor() {
    this.server = serveHttp(
      this.ctx,
      { hostname: "127.0.0.1", port: 0, requestTimeout: 60_000 },
      async (ctx) => {
        this.#arrived++;
        this.#onArrival?.();
        await Promise.race([ctx.done, this.release.promise]);
        return new Response();
      },
    );
  }

  /** Sends a request; resolves when it has arrived. */
  async request(path: string, signal?: AbortSignal): Promise<void> {
    const arrived = new Promise<void>((resolve) => this.#onArrival = resolve);
    const url = `http://127.0.0.1:${this.server.addr.port}${path}`;
    const reply = fetch(url, signal ? { signal } : {});
    this.#replies.push(
      reply.then((reply) => reply.body?.cancel()).catch(() => {}),
    );
    await arrived;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.release.resolve();
    await this.server.shutdown();
    await Promise.all(this.#replies);
    this.ctx.cancel();
  }
}

/** Expression for the rows of the tree whose name is `name`. */
function named(name: string): string {
  return `[...document.querySelectorAll("#tree .row")].filter((row) =>
    row.querySelector(".name").textContent === ${JSON.stringify(name)})`;
}

/** Expression for the text of the tree. */
const tree = `document.getElementById("top").textContent`;

Deno.test({
  name:
    "the page shows stalled requests with their ages, an end with its cause, and a drain",
  ignore: chromium === undefined,
  async fn() {
    using inspector = inspect();
    await using stalled = new Stalled();
    await using server = serveHttp(
      background(),
      { hostname: "127.0.0.1", port: 0 },
      inspectRoutes(inspector),
    );
    const name = `serveHttp 127.0.0.1:${stalled.server.addr.port}`;
    const start = performance.now();
    const client = new AbortController();
    await stalled.request("/one");
    await stalled.request("/two");
    await stalled.request("/three", client.signal);
    await using page = await Browser.open(
      `http://127.0.0.1:${server.addr.port}/`,
    );

    for (const path of ["/one", "/two", "/three"]) {
      await page.until(`${named(`GET ${path}`)}.length === 1`);
    }
    await page.until(`${named("GET /one")}[0].parentNode.age > 1000`);
    const age = await page.evaluate(
      `${named("GET /one")}[0].parentNode.age`,
    ) as number;
    // The clock of ages may be off by 100 ms.
    const elapsed = performance.now() - start + 100;
    assert(age <= elapsed, `${age} of ${elapsed} ms`);
    assertEquals(
      await page.evaluate(
        `${named(name)}[0].parentNode.contains(${named("GET /one")}[0])`,
      ),
      true,
    );

    client.abort();
    await page.until(
      `${tree}.includes("the client has closed the connection")`,
    );
    await page.until(
      `document.getElementById("recent").textContent.includes("GET /three")`,
    );

    stalled.ctx.cancel(new SignalError("SIGTERM"));
    await page.until(`${named(name)}[0].textContent.includes("draining")`);
    assertStringIncludes(
      await page.evaluate(`${named(name)}[0].textContent`) as string,
      "SIGTERM received",
    );
    assertEquals(await page.evaluate(`${named("GET /two")}.length`), 1);
    stalled.release.resolve();
    await page.until(`${named(name)}.length === 0`);
    assertEquals(page.complaints, []);
  },
});

Deno.test({
  name: "the page shows names and causes with markup as text",
  ignore: chromium === undefined,
  async fn() {
    using inspector = inspect({ stacks: true });
    const ctx = withCancel(withValue(background(), nastyKey, 1));
    await using tasks = group(ctx);
    const task = () => release.promise;
    const release = Promise.withResolvers<void>();
    Object.defineProperty(task, "name", { value: nasty });
    tasks.go(task);
    await using others = group(background());
    for (let i = 0; i < 2; i++) others.go(() => release.promise);
    withTimeout(ctx, 60_000).cancel(new Error(`${nasty} ended`));
    await using server = serveHttp(
      background(),
      { hostname: "127.0.0.1", port: 0 },
      inspectRoutes(inspector),
    );
    await using page = await Browser.open(
      `http://127.0.0.1:${server.addr.port}/`,
    );
    await page.until(`${named(`group with ${nasty}`)}.length === 1`);
    await page.until(`${tree}.includes(${JSON.stringify(`values: ${nasty}`)})`);
    await page.until(
      `document.getElementById("recent").textContent
        .includes(${JSON.stringify(`${nasty} ended`)})`,
    );
    assertStringIncludes(
      await page.evaluate(
        `document.getElementById("kinds").textContent`,
      ) as string,
      "3 tasks",
    );
    assertEquals(await page.evaluate(`document.images.length`), 0);
    assertEquals(await page.evaluate(`document.title`), "Contexts");
    assertEquals(page.complaints, []);
    release.resolve();
    ctx.cancel();
  },
});

Deno.test({
  name:
    "the page shows the oldest of too many contexts, filters them, and fits 400 px",
  ignore: chromium === undefined,
  async fn() {
    using inspector = inspect({ stacks: 0.01 });
    using ctx = withCancel(background());
    for (let i = 0; i < 100_000; i++) withCancel(ctx);
    await using server = serveHttp(
      background(),
      { hostname: "127.0.0.1", port: 0 },
      inspectRoutes(inspector, { olderThan: 0 }),
    );
    await using page = await Browser.open(
      `http://127.0.0.1:${server.addr.port}/`,
      { width: 400, height: 800 },
    );
    await page.until(`document.querySelectorAll("#tree .more").length > 0`);
    assertStringIncludes(await page.evaluate(tree) as string, "more");
    assertEquals(
      await page.evaluate(
        `document.getElementById("cut").classList.contains("hidden")`,
      ),
      false,
    );
    await page.until(
      `document.getElementById("suspects").textContent.includes("page_test.ts")`,
    );
    assertEquals(
      await page.evaluate(
        `document.documentElement.scrollWidth <= 400`,
      ),
      true,
    );
    await page.evaluate(`{
      const text = document.getElementById("text");
      text.value = "GET /EVENTS";
      text.dispatchEvent(new Event("input", { bubbles: true }));
    }`);
    assertEquals(
      await page.evaluate(
        `[...document.querySelectorAll("#tree .row")]
          .filter((row) => row.getClientRects().length > 0)
          .map((row) => row.querySelector(".name").textContent).join()`,
      ),
      `serveHttp 127.0.0.1:${server.addr.port},GET /events`,
    );
    assertEquals(page.complaints, []);
  },
});
