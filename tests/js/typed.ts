/** A strict program that uses the package: what it says of types has to hold. */

import {
  type Client, type Heard, type Intent, type Options, type Shelf, type State, Rejected, connect, open,
} from "groupd-client";
import { dial } from "groupd-client/tcp";

/** Whether two types are the same, `any` and what may be null told apart. */
type Same<A, B> =
  (<T>() => T extends A ? 1 : 2) extends <T>() => T extends B ? 1 : 2 ? true : false;
const holds = <_ extends true>(): void => {};

const shelf: Shelf = { load: () => [], save: () => {} };
const options: Options = {
  token: async () => "a.b.c",
  shelf,
  dial,
  limits: { sendsMax: 3 },
  onState: (state: State, waitMs: number) => void [state, waitMs],
};

export async function main(): Promise<void> {
  const client: Client = await connect("tcp://127.0.0.1:7400", options);
  const ready = open("tcp://127.0.0.1:7400", { token: "a.b.c" }).ready;
  holds<Same<typeof ready, Promise<Client>>>();
  holds<Same<null extends typeof client.final ? true : false, true>>();
  const intent: Intent = client.begin("post", { group: "g", text: "hello" });
  holds<Same<typeof intent.id, string | undefined>>();
  for await (const heard of client.events()) {
    holds<Same<typeof heard, Heard>>();
    if (heard.type === "event") heard.event.seq.toFixed();
  }
  await client.call("ping").catch((error: unknown) => {
    if (error instanceof Rejected) holds<Same<typeof error.retryAfterMs, number>>();
  });
  // @ts-expect-error: the token is wanted.
  open("ws://127.0.0.1:7480/ws", {});
}
