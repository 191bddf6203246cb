/**
 * The little program that `groupd conformance` wants: it says `ready`, and of each message of
 * somebody else that it heard it.
 *
 *     node conformance_client.js SERVER TOKENS [--fast]
 */

import { connect } from "../lib/index.js";
import { dial } from "../tcp.js";

const [url, tokens, pace] = process.argv.slice(2);
const client = await connect(url, {
  token: async () => (await (await fetch(tokens)).text()).trim(),
  dial,
  // A person would wait longer, and a test need not.
  limits: pace === "--fast" ? { backoffBaseMs: 400, backoffCapMs: 3_000 } : {},
});
const heard = client.events();
await client.call("post", { group: client.chatList[0].group, text: "ready" });
for await (const { type, event } of heard) {
  if (type !== "event" || event.kind !== "posted" || event.user === client.user) continue;
  // Not waited for: the next message may be heard before this one is answered.
  client.call("post", { group: event.group, text: `heard ${event.seq}` }).catch(() => {});
}
