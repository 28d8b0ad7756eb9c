/** Files of Unix sockets: taken over when stale, removed at the end. */

import { pause } from "./real_timers.ts";

/** Address of a Unix socket. */
export interface ListenUnixOptions {
  /** Path of the socket. Its file is removed when the server is closed. */
  path: string;
  /**
   * Removes the file that a killed process has left at `path`, if nothing listens
   * on it; true by default. If something does, or the file is not a socket, the
   * path is in use.
   */
  removeStale?: boolean;
}

/**
 * Calls `listen`, which opens a Unix socket at `path`. If the path is taken by the
 * file of a socket on which nothing listens now, as a process leaves it that was
 * killed, removes that file and calls `listen` again. Any other file stays, and so
 * does a socket in use.
 *
 * The probe connects once, so a process that listens there sees a connection that
 * is closed at once.
 *
 * @param path Path of the socket.
 * @param removeStale False to leave the file of a dead socket alone as well.
 * @param listen Opens the socket.
 */
export function listenOnPath<Listener>(
  path: string,
  removeStale: boolean,
  listen: () => Listener,
): Listener {
  try {
    return listen();
  } catch (error) {
    const isTaken = error instanceof Deno.errors.AddrInUse;
    if (!isTaken || !removeStale || !isStaleSocket(path)) throw error;
  }
  // Another process may do the same right now: whichever listens first keeps it.
  Deno.removeSync(path);
  return listen();
}

/** Longest time in ms that the probe may take: a full backlog blocks it. */
const probeTime = 1_000;

const isRefused = 1;

/**
 * Reports whether `path` is a socket that refuses connections.
 *
 * Deno connects to a Unix socket asynchronously only, and a server listens
 * synchronously. So a worker connects while this thread waits; 10 ms, and only if
 * the path is taken. `/proc/net/unix` would tell as well, but Deno guards it with
 * `--allow-all`.
 */
function isStaleSocket(path: string): boolean {
  const before = lstat(path);
  if (!before?.isSocket) return false;
  const result = new Int32Array(new SharedArrayBuffer(4));
  const worker = new Worker(probe, { type: "module" });
  worker.postMessage({ path, result });
  Atomics.wait(result, 0, 0, probeTime);
  worker.terminate();
  // Not the file of a process that has listened there in the meantime.
  return result[0] === isRefused && isSame(lstat(path), before);
}

/** Module of the worker. */
const probe = "data:text/javascript," + encodeURIComponent(`
  onmessage = async ({ data: { path, result } }) => {
    const answer = await Deno.connect({ transport: "unix", path }).then(
      (conn) => (conn.close(), 2),
      (error) => error instanceof Deno.errors.ConnectionRefused ? ${isRefused} : 2,
    );
    Atomics.store(result, 0, answer);
    Atomics.notify(result, 0);
  };
`);

/** Interval and limit in ms of the wait for Deno to remove a file. */
const removalCheck = 1;
const removalLimit = 100;

/**
 * The file of a socket that this process listens on. By the time the socket is
 * closed, another process may have replaced the file, and that one must stay.
 */
export class SocketFile {
  readonly #path: string;
  readonly #file: Deno.FileInfo | undefined;

  /** @param path Path of a socket that listens already. */
  constructor(path: string) {
    this.#path = path;
    this.#file = lstat(path);
  }

  /** Removes the file, unless another process has replaced it. */
  remove(): void {
    if (isSame(lstat(this.#path), this.#file)) Deno.removeSync(this.#path);
  }

  /**
   * Keeps the file if another process has replaced it. Call this right before a
   * stream listener is closed, since Deno then removes whatever file is at the path,
   * within a turn of the event loop. A hard link keeps the file until it can be put
   * back.
   */
  async keepReplacement(): Promise<void> {
    const path = this.#path;
    const replacement = lstat(path);
    if (replacement === undefined || isSame(replacement, this.#file)) return;
    const link = `${path}.${Deno.pid}`;
    try {
      Deno.linkSync(path, link);
      const end = performance.now() + removalLimit;
      while (isSame(lstat(path), replacement) && performance.now() < end) {
        await pause(removalCheck);
      }
      if (lstat(path) === undefined) Deno.renameSync(link, path);
      else Deno.removeSync(link);
    } catch {
      // The permission to write is for the path alone.
    }
  }
}

function lstat(path: string): Deno.FileInfo | undefined {
  try {
    return Deno.lstatSync(path);
  } catch {
    // Removed in the meantime.
    return undefined;
  }
}

function isSame(
  one: Deno.FileInfo | undefined,
  other: Deno.FileInfo | undefined,
): boolean {
  // A new file may get the inode number of one that was removed.
  return one !== undefined && one.ino === other?.ino && one.dev === other.dev &&
    one.mtime?.getTime() === other.mtime?.getTime();
}
