/**
 * What the client needs of the world: a wire, clocks, chance, timers. Tests bring their own.
 *
 * @typedef {object} WireHandlers
 * @property {() => void} opened
 * @property {(data: Uint8Array) => void} received bytes of the server's, cut anywhere
 * @property {(why: string) => void} closed once, also where it never opened
 *
 * @typedef {object} Wire
 * @property {(data: Uint8Array) => void} send a whole message; it may wait inside
 * @property {() => void} close may be repeated
 *
 * @typedef {object} Ports
 * @property {(url: string, handlers: WireHandlers) => Wire} dial calls no handler before it returns;
 *   throws UsageError where dialling again is of no use
 * @property {() => number} wallMs the machine's clock, milliseconds since 1970
 * @property {() => number} steadyMs a clock that does not jump
 * @property {(count: number) => Uint8Array} random
 * @property {(ms: number, then: () => void) => () => void} setTimer gives what cancels it
 */

import { UsageError } from "./errors.js";

/** What a WebSocket of groupd's is asked for. */
const SUBPROTOCOL = "groupd";

/**
 * The ports of a browser, and of Node.
 * @param {{WebSocket?: any, dial?: Ports["dial"]}} own a class for WebSocket where the platform has
 *   none, or another way to dial
 * @returns {Ports}
 */
export function platformPorts({ WebSocket = globalThis.WebSocket, dial } = {}) {
  return {
    dial: dial ?? ((url, handlers) => dialWebSocket(WebSocket, url, handlers)),
    wallMs: () => Date.now(),
    steadyMs: () => performance.now(),
    random: (count) => crypto.getRandomValues(new Uint8Array(count)),
    setTimer: (ms, then) => {
      const timer = setTimeout(then, ms);
      return () => clearTimeout(timer);
    },
  };
}

/**
 * @param {any} WebSocket
 * @param {string} url
 * @param {WireHandlers} handlers
 * @returns {Wire}
 */
function dialWebSocket(WebSocket, url, handlers) {
  if (!WebSocket) {
    throw new UsageError(
      "this platform has no WebSocket: give a class as the option WebSocket, start Node 20 with "
      + "--experimental-websocket, or go over TCP with the dial of groupd-client/tcp",
    );
  }
  let socket;
  try {
    socket = new WebSocket(url, [SUBPROTOCOL]);
  } catch (error) {
    // It looks at no network before it returns, so that what it refuses now it refuses each time.
    const why = /** @type {Error} */ (error).message;
    throw new UsageError(
      `a WebSocket does not take the address ${url} (${why}): give one such as wss://chat.example.com/ws`,
    );
  }
  socket.binaryType = "arraybuffer";
  socket.onopen = () => handlers.opened();
  socket.onmessage = (/** @type {{data: any}} */ { data }) => {
    // Text is not groupd's; the cutter refuses what an empty message cannot be.
    if (data instanceof ArrayBuffer) handlers.received(new Uint8Array(data));
    else socket.close();
  };
  socket.onclose = (/** @type {{code: number, reason: string}} */ event) => {
    handlers.closed(`the connection is closed (${event.code}${event.reason && ` ${event.reason}`})`);
  };
  // A `close` follows, which says as much as a browser tells.
  socket.onerror = () => {};
  return {
    send: (data) => {
      // What is sent to a socket that is closing is lost; its `close` is about to tell.
      if (socket.readyState === 1) socket.send(data);
    },
    close: () => socket.close(),
  };
}
