/**
 * Puts the package together in a folder, ready for `npm publish`: the files of `lib` are those that
 * the server serves to browsers, and npm does not follow the link to them.
 *
 *     node clients/js/pack.js OUT
 */

import { cp, mkdir } from "node:fs/promises";

const here = new URL("./", import.meta.url);
const out = process.argv[2];
if (!out) throw new Error("name a folder to put the package into");
await mkdir(out, { recursive: true });
for (const name of ["package.json", "README.md", "tcp.js"]) await cp(new URL(name, here), `${out}/${name}`);
await cp(new URL("../../LICENSE", here), `${out}/LICENSE`);
await cp(new URL("lib/", here), `${out}/lib`, { recursive: true, dereference: true });
