// The option --inspect of the StatsD gateway.

import { assertEquals, assertStringIncludes } from "@std/assert";
import { Program } from "./program.ts";

Deno.test("--inspect serves a page of the contexts, which the service's page links", async () => {
  await using service = new Program([
    ...["run", "--unstable-no-legacy-abort", "--allow-net"],
    ...["examples/statsd/main.ts", "--udp", "0", "--http", "0"],
    ...["--inspect", "0"],
  ]);
  const [, inspector] = await service.prints(/inspector on (http:\S+)\n/);
  const [, http] = await service.prints(/ and (http:\S+)\/metrics\n/);
  const { tree } = await (await fetch(`${inspector}contexts.json`)).json();
  const text = JSON.stringify(tree);
  assertStringIncludes(text, `"serveHttp ${new URL(http!).host}"`);
  assertStringIncludes(text, `"group with `);
  const page = await fetch(inspector!);
  assertEquals(page.status, 200);
  await page.body?.cancel();
  const links = await (await fetch(`${http}/`)).text();
  assertStringIncludes(links, `<a href="${inspector}">contexts</a>`);
  service.kill("SIGTERM");
  assertEquals((await service.ended).code, 0);
});
