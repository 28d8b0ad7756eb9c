// Contexts across threads: a real worker in Deno, in Node and in Chromium.

import { assertEquals } from "@std/assert";
import { Browser, chromium } from "../examples/statsd_browser.ts";
import { BuiltPackage, exists } from "./built_package.ts";
import { ChildProcess, CommandProcess } from "./child_process.ts";

const expected = {
  busy: ["TimeoutError", "slow job"],
  ready: ["ready", "ada"],
  canceled: ["AbortError", "RangeError: the user pressed stop"],
  back: ["AbortError", "the worker gave up"],
  done: ["canceled"],
  left: ["left"],
};

const programs = ["port_main.mjs", "port_page.mjs", "port_worker.mjs"];

Deno.test("contexts cross to a worker and back in Deno, and keep nothing alive", async () => {
  const { code, stdout, stderr } = await new ChildProcess("port_main.mjs", "")
    .end();
  assertEquals(code, 0, stderr);
  assertEquals(JSON.parse(stdout), expected);
});

Deno.test({
  name: "contexts cross to a worker and back in Node, and keep nothing alive",
  ignore: !await exists("node"),
  async fn() {
    await using built = await BuiltPackage.build(...programs);
    await built.extract();
    const cwd = { cwd: built.path };
    const { code, stdout, stderr } = await new CommandProcess(
      "node",
      ["port_main.mjs"],
      cwd,
    ).end();
    assertEquals(code, 0, stderr);
    assertEquals(JSON.parse(stdout), expected);
  },
});

Deno.test({
  name: "contexts cross to a worker and back in Chromium",
  ignore: chromium === undefined,
  async fn() {
    await using built = await BuiltPackage.build(...programs);
    await built.extract();
    await using server = Deno.serve(
      { hostname: "127.0.0.1", port: 0, onListen() {} },
      (request) => served(built.path, new URL(request.url).pathname),
    );
    const page = `http://127.0.0.1:${server.addr.port}/`;
    await using browser = await Browser.open(page);
    const seen = await browser.evaluate(`(async () => {
      const { cases } = await import("/port_page.mjs");
      const worker = new Worker("/port_worker.mjs", { type: "module" });
      return await cases(worker, (f) => worker.onmessage = ({ data }) => f(data));
    })()`);
    assertEquals(seen, expected);
  },
});

/** Serves the built package: workers take no import maps, so paths replace names. */
async function served(root: string, path: string): Promise<Response> {
  const html = { headers: { "content-type": "text/html" } };
  if (path === "/") return new Response("<!doctype html>", html);
  try {
    const text = await Deno.readTextFile(root + path);
    const home = "/node_modules/@curfew/context/context/mod.js";
    const code = text.replaceAll('"@curfew/context/context"', `"${home}"`);
    const headers = { "content-type": "text/javascript" };
    return new Response(code, { headers });
  } catch {
    return new Response(null, { status: 404 });
  }
}
