/** The life of a WebSocket, as part of the request that it has come from. */

/** Close codes of RFC 6455. */
export const closeCode = { goingAway: 1001, internalError: 1011 } as const;

/** Number of looks, 25 ms apart, that a socket gets to open once it is answered. */
const patience = 40;

/** Callbacks of an {@linkcode UpgradedSocket}. */
export interface SocketEvents {
  /** Called once: the socket is closed, or will never open. */
  closed(): void;
  /** Called before that if the client left before the socket was open. */
  neverOpened(): void;
}

/** Follows a server's socket from the answer to the upgrade until it is closed. */
export class UpgradedSocket {
  readonly #socket: WebSocket;
  readonly #events: SocketEvents;
  #phase: "opening" | "open" | "closed" = "opening";
  #looks = 0;

  constructor(socket: WebSocket, events: SocketEvents) {
    this.#socket = socket;
    this.#events = events;
    socket.addEventListener("open", () => this.#phase = "open");
    socket.addEventListener("close", () => this.#close());
  }

  /** Starts the closing handshake. */
  close(code: number): void {
    this.#socket.close(code);
  }

  /** Called every 25 ms. A socket whose client left too early never tells of it. */
  look(): void {
    if (this.#phase !== "opening" || ++this.#looks < patience) return;
    this.#events.neverOpened();
    this.#close();
  }

  #close(): void {
    if (this.#phase === "closed") return;
    this.#phase = "closed";
    this.#events.closed();
  }
}
