/**
 * Puts the package together in a folder, from which npm packs or publishes it; `make js-client` does
 * both. The files of `lib` are those that the server serves to browsers: it is a link, and npm does
 * not follow links.
 *
 *     node clients/js/pack.js OUT
 */

import { cp, mkdir, readFile, writeFile } from "node:fs/promises";

const here = new URL("./", import.meta.url);
const out = process.argv[2];
if (!out) {
  console.error("lib is a link, which npm does not follow: `make js-client` packs this, `node pack.js OUT` lays it out.");
  process.exit(1);
}
await mkdir(out, { recursive: true });
for (const name of ["README.md", "tcp.js"]) await cp(new URL(name, here), `${out}/${name}`);
await cp(new URL("../../LICENSE", here), `${out}/LICENSE`);
await cp(new URL("lib/", here), `${out}/lib`, { recursive: true, dereference: true });
// Its scripts are of use here only.
const { scripts, ...described } = JSON.parse(await readFile(new URL("package.json", here), "utf8"));
await writeFile(`${out}/package.json`, `${JSON.stringify(described, null, 2)}\n`);
