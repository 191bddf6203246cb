// MessagePack-RPC over a WebSocket, as much of it as a console needs: calls, one after the other's
// answer or all at once, and a connection that comes back by itself.

import { decodeMulti, encode } from "../client/vendor/msgpack.js";

const CALLS_MAX = 64; // That wait for an answer.
const CALL_MS = 30_000;
const BACKOFF_MS = [500, 1_000, 2_000, 5_000, 10_000];
const REQUEST = 0;
const RESPONSE = 1;
const NOTIFICATION = 2;

/** What a server refuses, or what became of the connection: `disconnected`, `timeout`, `busy`. */
export class RpcError extends Error {
  constructor(fields) {
    super(fields.message || fields.code);
    this.code = fields.code;
    this.reason = fields.reason;
    this.fields = fields;
  }
}

/**
 * Draw a request id, a UUIDv7: the same one for each try to do the same thing.
 * @param {number} timeMs by the server's clock
 */
export function requestId(timeMs) {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  for (let place = 5, rest = timeMs; place >= 0; place -= 1) {
    bytes[place] = rest % 256;
    rest = Math.floor(rest / 256);
  }
  bytes[6] = 0x70 | (bytes[6] & 0x0f);
  bytes[8] = 0x80 | (bytes[8] & 0x3f);
  const hex = Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
  return [
    hex.slice(0, 8), hex.slice(8, 12), hex.slice(12, 16), hex.slice(16, 20), hex.slice(20),
  ].join("-");
}

/** A connection as the user of a token. `onState` hears "connecting", "ready" or "refused". */
export class Rpc {
  constructor(url, token, onState) {
    this.url = url;
    this.token = token;
    this.onState = onState;
    this.welcome = null;
    this._clock = 0; // The server's, less ours.
    this._socket = null;
    this._isReady = false;
    this._isOver = false;
    this._failures = 0;
    this._next = 1;
    this._waiting = new Map();
    this._timer = 0;
    this._connect();
  }

  /** The time by the server's clock. */
  get nowMs() {
    return Date.now() + this._clock;
  }

  /** Ask for something; rejects with an RpcError. */
  call(method, params = {}) {
    if (!this._isReady) return Promise.reject(new RpcError({ code: "disconnected" }));
    return this._ask(method, params);
  }

  /** End it, for good. */
  close() {
    this._isOver = true;
    clearTimeout(this._timer);
    this._socket?.close();
    this._refuseAll();
  }

  _connect() {
    this.onState("connecting");
    const socket = new WebSocket(this.url, "groupd");
    socket.binaryType = "arraybuffer";
    this._socket = socket;
    socket.addEventListener("open", () => this._greet());
    socket.addEventListener("message", (event) => this._hear(event.data));
    socket.addEventListener("close", () => this._lose(socket));
  }

  async _greet() {
    try {
      const params = { token: this.token, client: "groupd-console/1", events: false };
      this.welcome = await this._ask("hello", params);
      this._clock = this.welcome.time_ms - Date.now();
      this._failures = 0;
      this._isReady = true;
      this.onState("ready");
    } catch (error) {
      // A token that proves nothing gets no better by trying again.
      if (error.code === "unauthenticated" || error.code === "bad_request") {
        this._isOver = true;
        this.onState("refused", error);
      }
      this._socket?.close();
    }
  }

  _ask(method, params) {
    if (this._waiting.size >= CALLS_MAX) return Promise.reject(new RpcError({ code: "busy" }));
    const msgid = this._next;
    this._next = (this._next % 0x7fffffff) + 1;
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => {
        this._waiting.delete(msgid);
        reject(new RpcError({ code: "timeout" }));
      }, CALL_MS);
      this._waiting.set(msgid, { resolve, reject, timer });
      this._socket.send(encode([REQUEST, msgid, method, [params]]));
    });
  }

  _hear(data) {
    for (const message of decodeMulti(new Uint8Array(data))) {
      if (message[0] === RESPONSE) this._settle(message[1], message[2], message[3]);
      else if (message[0] === NOTIFICATION && message[1] === "goodbye") this._part(message[2][0]);
    }
  }

  _settle(msgid, error, result) {
    const call = this._waiting.get(msgid);
    if (call === undefined) return;
    this._waiting.delete(msgid);
    clearTimeout(call.timer);
    if (error === null) call.resolve(result);
    else call.reject(new RpcError(error));
  }

  _part(goodbye) {
    if (goodbye.code === "unauthenticated") {
      this._isOver = true;
      this.onState("refused", new RpcError(goodbye));
    }
  }

  _lose(socket) {
    if (socket !== this._socket) return;
    this._isReady = false;
    this._refuseAll();
    if (this._isOver) return;
    this.onState("connecting");
    const most = BACKOFF_MS[Math.min(this._failures, BACKOFF_MS.length - 1)];
    this._failures += 1;
    this._timer = setTimeout(() => this._connect(), most / 2 + (Math.random() * most) / 2);
  }

  _refuseAll() {
    for (const call of this._waiting.values()) {
      clearTimeout(call.timer);
      call.reject(new RpcError({ code: "disconnected" }));
    }
    this._waiting.clear();
  }
}
