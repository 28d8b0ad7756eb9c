import { assertStrictEquals } from "@std/assert";
import { limitBody } from "../../../net/http/body_limit.ts";

for (const method of ["GET", "HEAD", "POST"]) {
  Deno.test(`a ${method} without a body is left as it is by a limit`, () => {
    const request = new Request("http://localhost/", { method });
    assertStrictEquals(limitBody(request, 0), request);
  });
}
