/** MessagePack-RPC: requests into bytes, bytes into what the server says. */

import { ProtocolError, isMap } from "./errors.js";
import { decode, encode } from "./vendor/msgpack.js";

export const MSGID_MAX = 2 ** 32 - 1;

/**
 * @typedef {{msgid: number, error: any, result: Record<string, any> | null}} Response
 * @typedef {{method: string, params: Record<string, any>}} Notification
 */

/**
 * Encodes a request. A parameter that is undefined is left out.
 * @param {number} msgid
 * @param {string} method
 * @param {Record<string, any>} params
 */
export function encodeRequest(msgid, method, params) {
  return encode([0, msgid, method, [params]], { ignoreUndefined: true });
}

/**
 * Reads a message of the server; throws ProtocolError where it is none.
 * @param {Uint8Array} bytes
 * @returns {Response | Notification}
 */
export function decodeMessage(bytes) {
  let message;
  try {
    message = decode(bytes);
  } catch (error) {
    throw new ProtocolError(`not MessagePack: ${error}`);
  }
  if (!Array.isArray(message)) throw new ProtocolError("a message that is no array");
  if (message[0] === 1 && message.length === 4) {
    const [, msgid, error, result] = message;
    if (!Number.isInteger(msgid)) throw new ProtocolError("a response without its msgid");
    if (isMap(error) === isMap(result)) throw new ProtocolError("neither an error nor a result");
    return { msgid, error, result: isMap(result) ? result : null };
  }
  if (message[0] === 2 && message.length === 3) {
    const [, method, params] = message;
    if (typeof method !== "string" || !Array.isArray(params)) {
      throw new ProtocolError("a notification without method and params");
    }
    return { method, params: isMap(params[0]) ? params[0] : {} };
  }
  throw new ProtocolError("neither a response nor a notification");
}
