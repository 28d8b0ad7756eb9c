import { assertEquals } from "@std/assert";
import { addrText, hostPort } from "../../net/host_port.ts";

Deno.test("hostPort() puts an IPv6 address in brackets, and nothing else", () => {
  assertEquals(hostPort("127.0.0.1", 80), "127.0.0.1:80");
  assertEquals(hostPort("example.com", 443), "example.com:443");
  assertEquals(hostPort("::1", 8125), "[::1]:8125");
});

Deno.test("addrText() is the host and the port, or the path of a Unix socket", () => {
  const transport = "tcp";
  assertEquals(addrText({ transport, hostname: "::", port: 80 }), "[::]:80");
  assertEquals(addrText({ transport: "unix", path: "/run/a" }), "/run/a");
});
