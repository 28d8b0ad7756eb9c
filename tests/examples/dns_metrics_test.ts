import { assertEquals, assertStringIncludes } from "@std/assert";
import { exposition } from "../../examples/dns/metrics.ts";
import type { Candidate } from "../../examples/dns/failover.ts";

function candidate(name: string, up: boolean): Candidate {
  return {
    server: {
      name,
      transport: "udp",
      ask: () => Promise.reject(),
      check: () => Promise.reject(),
    },
    up,
    asked: 5,
    failures: { timeout: 1, refused: 2, error: 0 },
    replies: new Map([["NOERROR", 2], ["other", 1]]),
  };
}

const desk = {
  counts: { udp: 7, tcp: 3, answered: 8, failed: 1, dropped: 1 },
  replies: new Map([["NXDOMAIN", 4]]),
};

/** The lines of one metric. */
function linesOf(text: string, name: string): string[] {
  return text.split("\n").filter((line) => line.includes(name));
}

Deno.test("exposition() renders every counter with its help and type", () => {
  const candidates = [candidate("192.0.2.1:53", true)];
  const text = exposition({
    desk,
    forwarder: { candidates, shared: 6 },
    overflow: 2,
  });
  assertEquals(linesOf(text, "dns_queries_total"), [
    "# HELP dns_queries_total Messages from clients.",
    "# TYPE dns_queries_total counter",
    'dns_queries_total{transport="udp"} 9',
    'dns_queries_total{transport="tcp"} 3',
  ]);
  assertEquals(linesOf(text, "dns_dropped_total{"), [
    'dns_dropped_total{reason="unanswerable"} 1',
    'dns_dropped_total{reason="overload"} 2',
  ]);
  assertEquals(linesOf(text, "dns_shared_total")[2], "dns_shared_total 6");
  const labels = 'upstream="192.0.2.1:53",transport="udp"';
  assertEquals(linesOf(text, "dns_upstream_up"), [
    "# HELP dns_upstream_up 1 if the upstream is asked in its turn, 0 if it comes last.",
    "# TYPE dns_upstream_up gauge",
    `dns_upstream_up{${labels}} 1`,
  ]);
  assertEquals(linesOf(text, "dns_upstream_failures_total{"), [
    `dns_upstream_failures_total{${labels},reason="timeout"} 1`,
    `dns_upstream_failures_total{${labels},reason="refused"} 2`,
    `dns_upstream_failures_total{${labels},reason="error"} 0`,
  ]);
  assertStringIncludes(text, `dns_upstream_queries_total{${labels}} 5\n`);
  assertEquals(text.endsWith("\n"), true);
});

Deno.test("exposition() has the usual rcodes from the start, and the others when they occur", () => {
  const text = exposition({
    desk,
    forwarder: { candidates: [candidate("192.0.2.1:53", false)], shared: 0 },
    overflow: 0,
  });
  assertEquals(linesOf(text, "dns_replies_total{"), [
    'dns_replies_total{rcode="NOERROR"} 0',
    'dns_replies_total{rcode="FORMERR"} 0',
    'dns_replies_total{rcode="SERVFAIL"} 0',
    'dns_replies_total{rcode="NXDOMAIN"} 4',
    'dns_replies_total{rcode="NOTIMP"} 0',
    'dns_replies_total{rcode="REFUSED"} 0',
    'dns_replies_total{rcode="BADVERS"} 0',
  ]);
  assertEquals(linesOf(text, "dns_upstream_replies_total{").length, 8);
  assertStringIncludes(text, 'transport="udp",rcode="other"} 1\n');
  assertStringIncludes(text, 'transport="udp"} 0\n');
});

Deno.test("exposition() leaves out what a server with records does not have", () => {
  const text = exposition({
    desk,
    forwarder: { candidates: [], shared: 0 },
    overflow: 0,
  });
  assertEquals(linesOf(text, "upstream"), []);
});
