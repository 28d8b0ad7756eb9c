/** Unix sockets whose file was left behind by a process that was killed. */

/**
 * Calls `listen`, which opens a Unix socket at `path`. If the path is taken by the
 * file of a socket on which nothing listens now, removes that file and calls
 * `listen` again. Any other file stays, and so does a socket in use.
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
 * the path is taken. `/proc/net/unix` would tell as well, but Deno lets nobody
 * read it without `--allow-all`.
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
  return result[0] === isRefused && lstat(path)?.ino === before.ino;
}

function lstat(path: string): Deno.FileInfo | undefined {
  try {
    return Deno.lstatSync(path);
  } catch {
    // Removed in the meantime.
    return undefined;
  }
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
