/**
 * A client against a real server: it says and hears what it is told to, line by line of JSON.
 *
 *     node --experimental-websocket real_client.js URL TOKEN
 *
 * In: `{"method": ..., "params": ...}`. Out: `{"heard": ...}`, `{"answer": ...}`, `{"state": ...}`.
 */

import { createInterface } from "node:readline";

import { open } from "../lib/index.js";
import { dial } from "../tcp.js";

const [url, token] = process.argv.slice(2);
const tell = (what) => process.stdout.write(`${JSON.stringify(what)}\n`);

const client = open(url, {
  token,
  ...(url.startsWith("ws") ? {} : { dial }),
  limits: { backoffBaseMs: 100, backoffCapMs: 500 },
  onState: (state) => tell({ state }),
});
await client.ready;
(async () => {
  for await (const heard of client.events()) tell({ heard });
})();
tell({ ready: client.user });
for await (const line of createInterface({ input: process.stdin })) {
  const { method, params } = JSON.parse(line);
  client.call(method, params).then(
    (answer) => tell({ method, answer }),
    ({ code, reason, message }) => tell({ method, error: { code, reason, message } }),
  );
}
client.close();
