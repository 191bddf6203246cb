/** The server's clock, as far as the client knows it. */

/**
 * Goes on from the last time that the server has told.
 *
 * It adds what has passed on the steady clock or on the wall's, whichever is more: the steady one
 * may stand still while the machine sleeps. A wall clock that jumps ahead makes ids that the
 * server refuses as stale; its refusal tells the time again.
 */
export class ServerClock {
  #ports;
  #serverMs = 0;
  #steadyMs = 0;
  #wallMs = 0;

  /** @param {{wallMs(): number, steadyMs(): number}} ports */
  constructor(ports) {
    this.#ports = ports;
    this.set(ports.wallMs());
  }

  /**
   * Takes the server's time as of now.
   * @param {number} serverMs
   */
  set(serverMs) {
    this.#serverMs = serverMs;
    this.#steadyMs = this.#ports.steadyMs();
    this.#wallMs = this.#ports.wallMs();
  }

  /** Gives the server's time, in whole milliseconds. */
  nowMs() {
    const steady = this.#ports.steadyMs() - this.#steadyMs;
    const wall = this.#ports.wallMs() - this.#wallMs;
    return Math.floor(this.#serverMs + Math.max(steady, wall));
  }
}
