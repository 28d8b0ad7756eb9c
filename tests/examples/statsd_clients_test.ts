// Lines of other clients: Python's statsd, which is run if it is installed, and
// HashiCorp's go-metrics, whose lines are written here as it formats them.

import { assertEquals } from "@std/assert";
import { pythonWith, runPython } from "./python.ts";
import { StatsdService } from "./statsd_service.ts";

/** Returns the metrics that were sent, without those of the service. */
async function sentMetrics(
  service: StatsdService,
): Promise<Record<string, number>> {
  const own = /^(statsd_|process_)/;
  return Object.fromEntries(
    [...await service.scrape()].filter(([name]) => !own.test(name)),
  );
}

const python = pythonWith("statsd");

for (const transport of ["UDP", "TCP"] as const) {
  Deno.test({
    name: `metrics of Python's statsd over ${transport} add up exactly`,
    ignore: python === undefined,
    async fn() {
      await using service = await StatsdService.start(
        ...["--tcp", "0", "--buckets", "0.1,1"],
      );
      const { hostname, port } = transport === "UDP"
        ? service.udp
        : service.tcp;
      await runPython(
        python!,
        `
from datetime import timedelta
from statsd import StatsClient, TCPStatsClient
client = ${transport === "UDP" ? "StatsClient" : "TCPStatsClient"}(
    "${hostname}", ${port}, prefix="app")
# No more datagrams than the receive buffer holds.
for i in range(1, 51):
    client.incr("hits")
    client.incr("bytes", i)
    client.timing("latency", i)
client.timing("latency", timedelta(seconds=2))
client.gauge("load", 7)
client.gauge("load", 3, delta=True)
client.gauge("load", -5, delta=True)
client.gauge("temperature", -4)
client.set("users", "ada")
client.set("users", "bob")
client.set("users", "ada")
with client.pipeline() as pipe:
    pipe.incr("piped")
    pipe.incr("piped", 4)
client.decr("hits")
client.close()
`,
      );
      await service.reaches(
        'statsd_sample_errors_total{reason="illegal_negative_counter"}',
        1,
      );
      assertEquals(await sentMetrics(service), {
        app_hits: 50,
        app_bytes: 1_275,
        app_piped: 5,
        app_load: 5,
        app_temperature: -4,
        app_users: 2,
        'app_latency_bucket{le="0.1"}': 50,
        'app_latency_bucket{le="1"}': 50,
        'app_latency_bucket{le="+Inf"}': 51,
        app_latency_sum: 3.275,
        app_latency_count: 51,
      });
    },
  });
}

Deno.test("metrics as HashiCorp's go-metrics writes them add up exactly", async () => {
  await using service = await StatsdService.start("--tcp", "0");
  const float = (value: number) => value.toFixed(6);
  const lines = Array.from({ length: 100 }, (_, i) =>
    [
      `consul.host-1.runtime.num_goroutines:${float(i)}|g`,
      `consul.rpc.request:${float(1)}|c`,
      `consul.raft.commitTime:${float(i / 4)}|ms`,
      `consul.http.GET.v1.kv._:${float(2)}|c`,
    ].join("\n") + "\n");
  using conn = await Deno.connect(service.tcp);
  const data = new TextEncoder().encode(lines.join(""));
  for (let at = 0; at < data.length;) {
    at += await conn.write(data.subarray(at));
  }
  await service.reaches("statsd_lines_total", 400);
  const { consul_raft_commitTime_sum: sum, ...others } = await sentMetrics(
    service,
  );
  assertEquals(sum, 99 * 100 / 2 / 4 / 1_000);
  assertEquals(others["consul_host_1_runtime_num_goroutines"], 99);
  assertEquals(others["consul_rpc_request"], 100);
  assertEquals(others["consul_http_GET_v1_kv__"], 200);
  assertEquals(others["consul_raft_commitTime_count"], 100);
});
