// The README of examples/statsd: its programs, commands, units and manifests, as far
// as they can be checked without a network and a cluster.

import { assert, assertEquals, assertStringIncludes } from "@std/assert";
// deno-lint-ignore no-import-prefix -- for tests only
import { parseAllDocuments } from "npm:yaml@2.9.1";
import { hostPort } from "../../examples/statsd/intake.ts";
import { readOptions } from "../../examples/statsd/options.ts";
import { inPath } from "./in_path.ts";
import { Program } from "./program.ts";
import { StatsdService } from "./statsd_service.ts";

const directory = new URL("../../examples/statsd/", import.meta.url);
const readme = await Deno.readTextFile(new URL("README.md", directory));

/** Returns the code blocks of a language, without their indentation. */
function blocks(language: string): string[] {
  const block = new RegExp(
    `^( *)\`\`\`${language}\\n([^]*?)^ *\`\`\`$`,
    "gm",
  );
  return readme.matchAll(block).map(([, indent, code]) =>
    code!.replaceAll(new RegExp(`^${indent}`, "gm"), "")
  ).toArray();
}

/** Runs a command and returns its exit code and output. */
async function run(
  command: string,
  args: string[],
  input = "",
): Promise<[code: number, output: string]> {
  const process = new Deno.Command(command, {
    args,
    stdin: "piped",
    stdout: "piped",
    stderr: "piped",
  }).spawn();
  const output = process.output();
  const writer = process.stdin.getWriter();
  await writer.write(new TextEncoder().encode(input));
  await writer.close();
  const { code, stdout, stderr } = await output;
  const decoder = new TextDecoder();
  return [code, decoder.decode(stdout) + decoder.decode(stderr)];
}

/** A file in a directory that is removed afterwards. */
class TempFile implements Disposable {
  readonly #directory = Deno.makeTempDirSync();
  readonly path: string;

  constructor(name: string, text: string, mode = 0o644) {
    this.path = `${this.#directory}/${name}`;
    Deno.writeTextFileSync(this.path, text, { mode });
  }

  [Symbol.dispose](): void {
    Deno.removeSync(this.#directory, { recursive: true });
  }
}

function freePorts(): [udp: number, http: number] {
  const hostname = "127.0.0.1";
  const udp = Deno.listenDatagram({ transport: "udp", hostname, port: 0 });
  const tcp = Deno.listen({ hostname, port: 0 });
  const ports = [udp, tcp].map(({ addr }) => (addr as Deno.NetAddr).port);
  udp.close();
  tcp.close();
  return ports as [number, number];
}

Deno.test("the program of the README counts lines, serves them and reports at SIGTERM", async () => {
  const [program] = blocks("ts");
  const [udp, http] = freePorts();
  using file = new TempFile(
    "gateway.ts",
    program!.replace("8125", `${udp}`).replace("9102", `${http}`)
      .replaceAll('"./', `"${directory}`)
      .replace('"@curfew/context"', `"${new URL("../../mod.ts", directory)}"`),
  );
  await using gateway = new Program(
    [
      ...["run", "--quiet", "--check", "--config", "deno.json", "--allow-net"],
      file.path,
    ],
  );
  const socket = Deno.listenDatagram({
    ...{ transport: "udp", hostname: "127.0.0.1", port: 0 },
  });
  const line = new TextEncoder().encode("a:1|c");
  const to = { transport: "udp", hostname: "127.0.0.1", port: udp } as const;
  // Until it listens and counts one, or has failed.
  let ended = false;
  gateway.ended.then(() => ended = true);
  let count = 0;
  while (count === 0 && !ended) {
    await socket.send(line, to);
    const text = await fetch(`http://127.0.0.1:${http}/`)
      .then((response) => response.text(), () => "");
    count = Number(/^a (\d+)$/m.exec(text)?.[1] ?? 0);
  }
  for (let i = 0; i < 50; i++) await socket.send(line, to);
  gateway.kill("SIGTERM");
  const { code, stdout, stderr } = await gateway.ended;
  socket.close();
  assertEquals([code, stderr], [0, ""]);
  const [, lines] = /^stopped: (\d+) lines\n$/.exec(stdout) ?? [];
  assert(Number(lines) >= count + 50, stdout);
});

Deno.test({
  name: "the shell commands of the README parse",
  ignore: Deno.build.os === "windows",
  async fn() {
    const commands = blocks("sh");
    assert(commands.length >= 2);
    for (const command of commands) {
      assertEquals(await run("sh", ["-n"], command), [0, ""], command);
    }
    const [dockerfile] = blocks("dockerfile");
    const runs = dockerfile!.replaceAll("\\\n", " ").split("\n")
      .filter((line) => line.startsWith("RUN "));
    assertEquals(runs.length, 1);
    for (const line of runs) {
      const command = line.slice("RUN ".length);
      assertEquals(await run("sh", ["-n"], command), [0, ""], command);
    }
  },
});

Deno.test("the flags of the containers and of the unit are options of the service", () => {
  const [dockerfile] = blocks("dockerfile");
  const command = JSON.parse(/^CMD (.*)$/m.exec(dockerfile!)![1]!);
  const [unit] = blocks("ini");
  const execStart = /^ExecStart=\S+ (.*)$/m.exec(unit!)![1]!;
  for (const args of [command, execStart.split(" "), daemonSetArgs()]) {
    readOptions(args);
  }
  const ports = ["udp", "tcp", "http"] as const;
  const options = readOptions(daemonSetArgs());
  assertEquals(
    ports.map((port) => hostPort(options[port]!)),
    ["0.0.0.0:8125", "0.0.0.0:8125", "0.0.0.0:9102"],
  );
  assertEquals(readOptions(command), {
    ...options,
    ...{ buckets: undefined, lameDuck: 0, ttl: Infinity },
  });
});

Deno.test("the service runs with the permissions of deno compile in the README", async () => {
  const [compile] = blocks("sh").filter((text) => text.includes("compile"));
  const flags = compile!.match(/--(unstable|allow)-\S+/g)!;
  const [dockerfile] = blocks("dockerfile");
  assertEquals(dockerfile!.match(/--(unstable|allow)-\S+/g), flags);
  await using service = await StatsdService.startWith(flags, "--tcp", "0");
  assertEquals((await service.request("/"))[0], 200);
  service.kill("SIGTERM");
  assertEquals((await service.stopped()).lines, 0);
});

const systemdAnalyze = inPath("systemd-analyze");

Deno.test({
  name: "systemd-analyze finds no fault with the unit of the README",
  ignore: systemdAnalyze === undefined,
  async fn() {
    const [unit] = blocks("ini");
    using binary = new TempFile("statsd", "#!/bin/sh\n", 0o755);
    using file = new TempFile(
      "statsd.service",
      unit!.replace("/usr/local/bin/statsd", binary.path),
    );
    const [code, output] = await run(systemdAnalyze!, ["verify", file.path]);
    // Units of the machine may have faults of their own.
    const own = output.split("\n").filter((line) => line.includes("statsd"));
    assertEquals([code, own], [0, []]);
    const broken = unit!.replace("Restart=on-failure", "Restart=sometimes");
    using wrong = new TempFile("statsd.service", broken);
    const [, fault] = await run(systemdAnalyze!, ["verify", wrong.path]);
    assertStringIncludes(fault, "sometimes");
  },
});

const promtool = inPath("promtool");

Deno.test({
  name: "promtool accepts the scrape configurations of the README",
  ignore: promtool === undefined,
  async fn() {
    const configs = blocks("yaml")
      .filter((text) => text.startsWith("scrape_configs:"));
    assertEquals(configs.length, 2);
    for (const config of configs) {
      // Debian builds Prometheus without the discovery of Kubernetes.
      const known = config.replace(
        "    kubernetes_sd_configs:\n      - role: pod\n",
        "    static_configs:\n      - targets: []\n",
      );
      using file = new TempFile("prometheus.yml", known);
      const args = ["check", "config", "--syntax-only", file.path];
      const [code, output] = await run(promtool!, args);
      assertEquals(code, 0, output);
    }
  },
});

// deno-lint-ignore no-explicit-any
type Manifest = any;

function manifests(): [daemonSet: Manifest, service: Manifest] {
  const [text] = blocks("yaml")
    .filter((text) => text.startsWith("apiVersion: apps/v1\n"));
  const documents = parseAllDocuments(text!);
  for (const { errors, warnings } of documents) {
    assertEquals([errors, warnings], [[], []]);
  }
  const [daemonSet, service, ...others] = documents.map((document) =>
    document.toJS()
  );
  assertEquals(
    [daemonSet.kind, service.kind, others],
    ["DaemonSet", "Service", []],
  );
  return [daemonSet, service];
}

function daemonSetArgs(): string[] {
  return manifests()[0].spec.template.spec.containers[0].args;
}

/** Fields of the API that the manifests use, by the path of their parent. */
const FIELDS: Record<string, string[]> = {
  "DaemonSet": ["apiVersion", "kind", "metadata", "spec"],
  "DaemonSet.metadata": ["name"],
  "DaemonSet.spec": ["selector", "updateStrategy", "template"],
  "DaemonSet.spec.selector": ["matchLabels"],
  "DaemonSet.spec.updateStrategy": ["rollingUpdate"],
  "DaemonSet.spec.updateStrategy.rollingUpdate": ["maxSurge", "maxUnavailable"],
  "DaemonSet.spec.template": ["metadata", "spec"],
  "DaemonSet.spec.template.metadata": ["labels"],
  "DaemonSet.spec.template.spec": [
    ...["terminationGracePeriodSeconds", "securityContext", "containers"],
  ],
  "DaemonSet.spec.template.spec.securityContext": [
    ...["runAsNonRoot", "runAsUser", "seccompProfile"],
  ],
  "DaemonSet.spec.template.spec.securityContext.seccompProfile": ["type"],
  "DaemonSet.spec.template.spec.containers.0": [
    ...["name", "image", "args", "ports", "readinessProbe", "livenessProbe"],
    ...["resources", "securityContext"],
  ],
  "DaemonSet.spec.template.spec.containers.0.securityContext": [
    ...["allowPrivilegeEscalation", "readOnlyRootFilesystem", "capabilities"],
  ],
  "DaemonSet.spec.template.spec.containers.0.securityContext.capabilities": [
    "drop",
  ],
  "DaemonSet.spec.template.spec.containers.0.resources": [
    ...["requests", "limits"],
  ],
  "Service": ["apiVersion", "kind", "metadata", "spec"],
  "Service.metadata": ["name"],
  "Service.spec": ["selector", "internalTrafficPolicy", "ports"],
};

Deno.test("the manifests of the README use known fields, each where it belongs", () => {
  for (const manifest of manifests()) {
    for (const [path, fields] of Object.entries(FIELDS)) {
      const [kind, ...keys] = path.split(".");
      if (kind !== manifest.kind) continue;
      const found = keys.reduce((object, key) => object[key], manifest);
      const unknown = Object.keys(found).filter((key) => !fields.includes(key));
      assertEquals(unknown, [], path);
    }
  }
});

Deno.test("the manifests of the README agree on labels, ports, probes and times", () => {
  const [daemonSet, service] = manifests();
  const { metadata, spec } = daemonSet.spec.template;
  assertEquals(daemonSet.spec.selector.matchLabels, metadata.labels);
  assertEquals(service.spec.selector, metadata.labels);
  const [container] = spec.containers;
  const ports = new Map<string, Manifest>(
    container.ports.map((port: Manifest) => [port.name, port]),
  );
  for (const { name, port, targetPort, protocol } of service.spec.ports) {
    assertEquals(name, targetPort);
    assertEquals(ports.get(targetPort)?.protocol, protocol);
    assertEquals(ports.get(targetPort)?.containerPort, port);
  }
  assertEquals(container.readinessProbe.httpGet, {
    ...{ path: "/-/ready", port: "http" },
  });
  assertEquals(container.livenessProbe.httpGet, {
    ...{ path: "/-/healthy", port: "http" },
  });
  const options = readOptions(container.args);
  assertEquals(ports.get("statsd-udp")?.containerPort, options.udp.port);
  assertEquals(ports.get("statsd-tcp")?.containerPort, options.tcp!.port);
  assertEquals(ports.get("http")?.containerPort, options.http.port);
  // Kubernetes notices within the lame duck that the gateway is not ready.
  const { periodSeconds, failureThreshold } = container.readinessProbe;
  assert(periodSeconds * failureThreshold * 1_000 < options.lameDuck);
  const { maxSurge, maxUnavailable } =
    daemonSet.spec.updateStrategy.rollingUpdate;
  assertEquals([maxSurge, maxUnavailable], [1, 0]);
});
