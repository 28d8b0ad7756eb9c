// Deadlines along a chain of three services, each a process of its own.

import { assert, assertEquals, assertFalse } from "@std/assert";
import { CommandProcess, test } from "../../context/child_process.ts";

const script = new URL("../testdata/chained_service.ts", import.meta.url).href;

/** A service of the chain. */
class Service {
  readonly #process: CommandProcess;
  readonly port: number;

  private constructor(process: CommandProcess, port: number) {
    this.#process = process;
    this.port = port;
  }

  static async start(argument: string): Promise<Service> {
    const args = ["run", "-A", "--quiet", script, argument];
    const process = new CommandProcess(Deno.execPath(), args);
    const { port } = JSON.parse(await process.line());
    return new Service(process, port);
  }

  /** Waits for the time left that its next request arrives with, in ms. */
  async arrival(): Promise<number> {
    const { left } = await this.#next();
    assert(left !== undefined);
    return left;
  }

  /** Waits for the end of its request. */
  async end(): Promise<{ cause: string; at: number }> {
    const { ended, cause, at } = await this.#next();
    assert(ended === "AbortError" || ended === "TimeoutError", ended);
    return { cause, at };
  }

  async #next() {
    return JSON.parse(await this.#process.line());
  }

  /** Stops it and returns the lines that were not read. */
  async stop(): Promise<string[]> {
    this.#process.kill("SIGTERM");
    const { code, stdout, stderr } = await this.#process.end();
    assertEquals(code, 0, stderr);
    return stdout.split("\n").filter((line) => line !== "");
  }
}

/** Starts three services, each of which calls the next, and the last does `what`. */
async function chain(
  what: "hang" | "fail",
): Promise<[Service, Service, Service]> {
  const last = await Service.start(what);
  const middle = await Service.start(String(last.port));
  const first = await Service.start(String(middle.port));
  return [first, middle, last];
}

/** Reports how long after `start` the requests of a chain have ended. */
async function endings(
  services: readonly Service[],
  start: number,
  what: string,
): Promise<string[]> {
  const ends = await Promise.all(services.map((service) => service.end()));
  const times = ends.map(({ at }) => `${at - start}`).join(", ");
  console.log(
    `${what}: the work in the three services ended ${times} ms later`,
  );
  return ends.map(({ cause }) => cause);
}

test("in a chain of services each has less time, and a killed client ends all", async () => {
  const services = await chain("hang");
  const [first] = services;
  const url = `http://127.0.0.1:${first.port}/`;
  const client = new CommandProcess(Deno.execPath(), [
    "eval",
    `await fetch("${url}", { headers: { "grpc-timeout": "30S" } });`,
  ]);
  const left: number[] = [];
  for (const service of services) left.push(await service.arrival());
  assert(left[0]! <= 30_000, `${left}`);
  assert(left[1]! < left[0]! && left[2]! < left[1]!, `${left}`);
  const start = Date.now();
  client.kill("SIGKILL");
  await client.end();
  const causes = await endings(services, start, "client killed");
  assertEquals(causes, ["ClientGone", "ClientGone", "ClientGone"]);
  for (const service of services) assertEquals(await service.stop(), []);
});

test("in a chain of services a passed deadline ends the work in all", async () => {
  const services = await chain("hang");
  const start = Date.now();
  const reply = await fetch(`http://127.0.0.1:${services[0].port}/`, {
    headers: { "grpc-timeout": "1S" },
  });
  await reply.body?.cancel();
  assertEquals(reply.status, 504);
  for (const service of services) assert(await service.arrival() <= 1_000);
  const causes = await endings(services, start + 1_000, "deadline passed");
  assertEquals(causes[0], "ClientDeadline");
  // The others end by their own deadline, unless their caller hangs up first.
  for (const cause of causes) {
    assert(cause === "ClientDeadline" || cause === "ClientGone", cause);
  }
  for (const service of services) assertEquals(await service.stop(), []);
});

test("in a chain of services a retry in the middle stays within the first deadline", async () => {
  const services = await chain("fail");
  const reply = await fetch(`http://127.0.0.1:${services[0].port}/`, {
    headers: { "grpc-timeout": "1S" },
  });
  await reply.body?.cancel();
  assertFalse(reply.ok);
  for (const service of services.slice(0, 2)) await service.stop();
  const lines = await services[2].stop();
  const left = lines.map((line) => JSON.parse(line).left as number);
  console.log(`the last service was called with these ms left: ${left}`);
  assert(left.length > 1, `${left}`);
  assert(left[0]! < 1_000, `${left}`);
  // Each attempt has what the ones before have left, not a budget of its own.
  const ordered = left.toSorted((one, other) => other - one);
  assertEquals(left, ordered);
});
