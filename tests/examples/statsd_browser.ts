/** Headless Chromium for the page of examples/statsd. */

import { delay } from "@std/async";
import { inPath } from "./in_path.ts";

/** Path of Chromium; undefined if it is not installed. */
export const chromium: string | undefined = inPath(
  "chromium",
  "chromium-browser",
  "google-chrome",
);

/** Message of the DevTools protocol: a response, or an event. */
interface Message {
  id?: number;
  method?: string;
  // deno-lint-ignore no-explicit-any
  params?: any;
  // deno-lint-ignore no-explicit-any
  result?: any;
  error?: { message: string };
}

const FLAGS = [
  "--headless",
  "--no-sandbox",
  "--disable-gpu",
  "--hide-scrollbars",
  "--disable-quic",
  "--no-first-run",
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-sync",
  "--window-size=1080,1120",
  "--remote-debugging-port=0",
];

/** Browser with one page; `await using` ends both. */
export class Browser implements AsyncDisposable {
  /** Errors of the page, including refusals by its policy. */
  readonly complaints: string[] = [];
  readonly #process: Deno.ChildProcess;
  readonly #profile: string;
  readonly #socket: WebSocket;
  readonly #stderr: Promise<void>;
  readonly #calls = new Map<number, PromiseWithResolvers<Message>>();
  readonly #closed: Promise<void>;
  #session = "";
  #id = 0;

  private constructor(
    process: Deno.ChildProcess,
    profile: string,
    socket: WebSocket,
    stderr: Promise<void>,
  ) {
    this.#process = process;
    this.#profile = profile;
    this.#socket = socket;
    this.#stderr = stderr;
    const closed = Promise.withResolvers<void>();
    this.#closed = closed.promise;
    socket.onclose = () => closed.resolve();
    socket.onmessage = ({ data }) => this.#hear(JSON.parse(data));
  }

  /** Starts the browser and opens `url`, on a screen of that size in pixels. */
  static async open(
    url: string,
    screen?: { width: number; height: number },
  ): Promise<Browser> {
    const profile = await Deno.makeTempDir();
    const process = new Deno.Command(chromium!, {
      args: [...FLAGS, `--user-data-dir=${profile}`, "about:blank"],
      stdin: "null",
      stdout: "null",
      stderr: "piped",
    }).spawn();
    const found = Promise.withResolvers<string>();
    const stderr = (async () => {
      let text = "";
      for await (
        const chunk of process.stderr.pipeThrough(new TextDecoderStream())
      ) {
        text += chunk;
        const [address] = text.match(/ws:\/\/\S+(?=\s)/) ?? [];
        if (address !== undefined) found.resolve(address);
      }
      found.reject(new Error(`Chromium has ended: ${text}`));
    })();
    const socket = new WebSocket(await found.promise);
    await new Promise((resolve, reject) => {
      socket.onopen = resolve;
      socket.onerror = reject;
    });
    const browser = new Browser(process, profile, socket, stderr);
    await browser.#attach();
    if (screen !== undefined) {
      await browser.#call("Emulation.setDeviceMetricsOverride", {
        ...{ ...screen, deviceScaleFactor: 1, mobile: false },
      });
    }
    await browser.#call("Page.navigate", { url });
    await browser.#shows(url);
    return browser;
  }

  /** Waits until the page has loaded: before that, expressions run in another one. */
  async #shows(url: string): Promise<void> {
    const there = `location.href === ${JSON.stringify(url)} &&
      document.readyState !== "loading"`;
    while (await this.evaluate(there).catch(() => false) !== true) {
      await delay(5);
    }
  }

  /** Returns the value of an expression in the page. */
  async evaluate(expression: string): Promise<unknown> {
    const { result } = await this.#call("Runtime.evaluate", {
      expression,
      awaitPromise: true,
      returnByValue: true,
    });
    if (result.exceptionDetails !== undefined) {
      throw new Error(`${expression}: ${result.exceptionDetails.text}`);
    }
    return result.result.value;
  }

  /** Waits until an expression in the page is true. */
  async until(expression: string): Promise<void> {
    await this.evaluate(`new Promise((resolve) => {
      const look = () => (${expression}) ? resolve() : setTimeout(look, 5);
      look();
    })`);
  }

  /** Returns a PNG of the whole page. */
  async screenshot(): Promise<Uint8Array> {
    const [width, height] = await this.evaluate(
      `[document.documentElement.clientWidth,
        document.documentElement.scrollHeight]`,
    ) as [number, number];
    const { result } = await this.#call("Page.captureScreenshot", {
      format: "png",
      captureBeyondViewport: true,
      clip: { x: 0, y: 0, width, height, scale: 1 },
    });
    return Uint8Array.fromBase64(result.data);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    // This ends the process, and the socket with it.
    this.#send("Browser.close", {}, undefined);
    await Promise.all([this.#closed, this.#process.status, this.#stderr]);
    await Deno.remove(this.#profile, { recursive: true });
  }

  async #attach(): Promise<void> {
    const { result } = await this.#call("Target.getTargets", {}, undefined);
    const page = result.targetInfos.find(
      ({ type }: { type: string }) => type === "page",
    );
    const attached = await this.#call("Target.attachToTarget", {
      targetId: page.targetId,
      flatten: true,
    }, undefined);
    this.#session = attached.result.sessionId;
    for (const domain of ["Page", "Runtime", "Log"]) {
      await this.#call(`${domain}.enable`, {});
    }
  }

  #hear({ id, method, params, ...rest }: Message): void {
    if (id !== undefined) this.#calls.get(id)?.resolve({ id, ...rest });
    if (method === "Runtime.exceptionThrown") {
      this.complaints.push(params.exceptionDetails.text);
    }
    if (method === "Log.entryAdded" && params.entry.level === "error") {
      this.complaints.push(params.entry.text);
    }
  }

  async #call(
    method: string,
    params: object,
    session: string | undefined = this.#session,
  ): Promise<Message> {
    const answer = this.#send(method, params, session);
    const message = await answer;
    if (message.error !== undefined) {
      throw new Error(`${method}: ${message.error.message}`);
    }
    return message;
  }

  #send(
    method: string,
    params: object,
    session: string | undefined,
  ): Promise<Message> {
    const id = ++this.#id;
    const call = Promise.withResolvers<Message>();
    this.#calls.set(id, call);
    const sessionId = session === "" ? undefined : session;
    this.#socket.send(JSON.stringify({ id, method, params, sessionId }));
    return call.promise;
  }
}
