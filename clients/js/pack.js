/**
 * Puts the package together in a folder, from which npm packs or publishes it; `make js-client` does
 * both. The files of `lib` are those that the server serves to browsers: it is a link, and npm does
 * not follow links. TypeScript makes the declarations of their JSDoc; where it is not installed, the
 * package is one without.
 *
 *     node clients/js/pack.js OUT
 */

import { execFileSync } from "node:child_process";
import { existsSync } from "node:fs";
import { cp, mkdir, readFile, rm, writeFile } from "node:fs/promises";
import { fileURLToPath } from "node:url";

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

const installed = fileURLToPath(new URL("../../build/web/node_modules/", here));
const tsc = `${installed}typescript/bin/tsc`;
if (existsSync(tsc)) {
  const options = [
    "--allowJs", "--declaration", "--emitDeclarationOnly", "--strict", "--skipLibCheck",
    "--target", "es2023", "--module", "nodenext", "--lib", "es2023,dom,dom.iterable",
    "--types", "node", "--typeRoots", `${installed}@types`,
    "--preserveSymlinks", "--rootDir", fileURLToPath(here), "--outDir", out,
  ];
  const modules = ["lib/index.js", "tcp.js"].map((name) => fileURLToPath(new URL(name, here)));
  execFileSync(process.execPath, [tsc, ...options, ...modules], { stdio: "inherit" });
  // Nothing that is declared speaks of it, and what is made of bundled code is no good.
  await rm(`${out}/lib/vendor/msgpack.d.ts`);
} else {
  console.error("TypeScript is not installed: the package has no declarations of types.");
}
