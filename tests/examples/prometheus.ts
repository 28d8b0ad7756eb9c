/** A Prometheus server for tests. */

import { delay } from "@std/async";
import { inPath } from "./in_path.ts";

/** Path of Prometheus; undefined if it is not installed. */
export const prometheus: string | undefined = inPath("prometheus");

/** Time in ms to wait for a value, so that no test waits forever. */
const STUCK = 60_000;

/** Running Prometheus with an empty database; `await using` ends it. */
export class Prometheus implements AsyncDisposable {
  readonly #process: Deno.ChildProcess;
  readonly #directory: string;
  readonly #stderr: Promise<void>;
  readonly #url: string;

  private constructor(
    process: Deno.ChildProcess,
    directory: string,
    stderr: Promise<void>,
    url: string,
  ) {
    this.#process = process;
    this.#directory = directory;
    this.#stderr = stderr;
    this.#url = url;
  }

  /** Starts Prometheus with the text of a configuration file and waits until it
   * answers queries. */
  static async start(config: string, ...flags: string[]): Promise<Prometheus> {
    const directory = await Deno.makeTempDir();
    await Deno.writeTextFile(`${directory}/prometheus.yml`, config);
    const process = new Deno.Command(prometheus!, {
      args: [
        `--config.file=${directory}/prometheus.yml`,
        `--storage.tsdb.path=${directory}/data`,
        "--web.listen-address=127.0.0.1:0",
        ...flags,
      ],
      stdin: "null",
      stdout: "null",
      stderr: "piped",
    }).spawn();
    const listening = Promise.withResolvers<string>();
    const stderr = (async () => {
      let log = "";
      for await (
        const text of process.stderr.pipeThrough(new TextDecoderStream())
      ) {
        log += text;
        const [, address] =
          /msg="Listening on" address=(127\.0\.0\.1:\d+)/.exec(log) ?? [];
        if (!log.includes("Server is ready to receive web requests")) continue;
        if (address !== undefined) listening.resolve(`http://${address}`);
      }
      listening.reject(new Error(`Prometheus has ended: ${log}`));
    })();
    const url = await listening.promise;
    return new Prometheus(process, directory, stderr, url);
  }

  /** Returns the only value of a query; undefined if there is none. */
  async value(query: string): Promise<number | undefined> {
    const url = `${this.#url}/api/v1/query?query=${encodeURIComponent(query)}`;
    const { data, error } = await (await fetch(url)).json();
    if (error !== undefined) throw new Error(`${query}: ${error}`);
    const [result, another] = data.result;
    if (another !== undefined) throw new Error(`${query}: several values`);
    return result === undefined ? undefined : Number(result.value[1]);
  }

  /** Waits until the value of a query is `expected`. */
  async reaches(query: string, expected: number): Promise<void> {
    const start = performance.now();
    for (;;) {
      const value = await this.value(query);
      if (value === expected) return;
      if (performance.now() - start > STUCK) {
        throw new Error(`${query} stays at ${value}, not ${expected}`);
      }
      await delay(50);
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#process.kill("SIGKILL");
    await Promise.all([this.#process.status, this.#stderr]);
    await Deno.remove(this.#directory, { recursive: true });
  }
}
