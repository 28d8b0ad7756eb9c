/** Files of Unix sockets. */

/** Registers a test that needs Unix sockets. */
export const test: typeof Deno.test.ignore = Deno.build.os === "windows"
  ? Deno.test.ignore
  : Deno.test;

/** A path in a folder that is removed with its block. */
export class SocketPath implements Disposable {
  readonly dir = Deno.makeTempDirSync();
  readonly path = `${this.dir}/server.sock`;

  /** Leaves the file of a socket that nothing listens on. */
  leaveStale(): void {
    // Deno removes the file of a stream socket when it closes that.
    const other = `${this.path}.other`;
    const listener = listenAt(this.path);
    Deno.renameSync(this.path, other);
    listener.close();
    Deno.renameSync(other, this.path);
  }

  [Symbol.dispose](): void {
    Deno.removeSync(this.dir, { recursive: true });
  }
}

/** Opens a stream socket. */
export function listenAt(path: string): Deno.UnixListener {
  return Deno.listen({ transport: "unix", path });
}
