/** Implements the `Server` interface on top of a lifetime. */

import type { Context } from "../context/context.ts";
import type {
  Server,
  ServerAddr,
  ServerState,
  ShutdownOptions,
} from "./server.ts";
import type { ServerLifetime } from "./server_lifetime.ts";

/** Base class of all servers: the members that they share. */
export abstract class ServerBase<Addr extends ServerAddr, Report>
  implements Server<Addr, Report> {
  readonly #lifetime: ServerLifetime<Addr, Report>;

  constructor(lifetime: ServerLifetime<Addr, Report>) {
    this.#lifetime = lifetime;
  }

  get addr(): Addr {
    return this.#lifetime.addr;
  }

  get state(): ServerState {
    return this.#lifetime.state;
  }

  get ready(): boolean {
    return this.#lifetime.ready;
  }

  get finished(): Promise<Report> {
    return this.#lifetime.finished;
  }

  shutdown(options?: ShutdownOptions): Promise<Report> {
    return this.#lifetime.shutdown(options);
  }

  onShutdown(f: (ctx: Context) => unknown): void {
    this.#lifetime.onShutdown(f);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.shutdown();
  }
}
