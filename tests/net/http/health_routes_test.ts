// Without a server: what it answers to whom.

import { background, healthRoutes } from "@curfew/context";
import { assertEquals } from "@std/assert";

const answers: [method: string, path: string, status: number, body: string][] =
  [
    ["GET", "/-/healthy", 200, "healthy\n"],
    ["HEAD", "/-/healthy", 200, "healthy\n"],
    ["POST", "/-/healthy", 405, "method not allowed\n"],
    ["DELETE", "/-/ready", 405, "method not allowed\n"],
    ["GET", "/-/ready", 503, "stopping\n"],
    ["GET", "/", 404, "not found\n"],
  ];
for (const [method, path, status, body] of answers) {
  Deno.test(`healthRoutes() answers ${method} ${path} with ${status}, not to be stored`, async () => {
    const request = new Request(`http://localhost${path}`, { method });
    const response = await healthRoutes()(background(), request);
    assertEquals([response.status, await response.text()], [status, body]);
    assertEquals(response.headers.get("cache-control"), "no-store");
    assertEquals(
      response.headers.get("allow"),
      status === 405 ? "GET, HEAD" : null,
    );
  });
}
