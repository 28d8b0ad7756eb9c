/** Closing a WebSocket of Deno before it is open. */

/**
 * Makes `socket.close()` work before the socket is open, as for a handler that says
 * goodbye at once because the server is draining. Deno forgets such a call: the
 * socket opens all the same, and stays open.
 */
export function keepEarlyClose(socket: WebSocket): void {
  const close = socket.close.bind(socket);
  socket.close = (code, reason) => {
    const isEarly = socket.readyState === WebSocket.CONNECTING;
    close(code, reason);
    if (!isEarly) return;
    socket.addEventListener("open", () => close(code, reason));
  };
}
