// Puts the page together in dist/, which the server embeds: our files as they are, and Swagger UI's bundle. A file
// that is as it should be is left alone: the server is compiled again when one changes.
import { mkdir, readFile, readdir, rm, writeFile } from "node:fs/promises";
import { gzipSync } from "node:zlib";

const here = new URL("./", import.meta.url);
const dist = new URL("dist/", here);
const vendor = new URL("node_modules/swagger-ui-dist/", here);

const files = new Map();
for (const name of await readdir(new URL("src/", here))) {
  files.set(name, await readFile(new URL(`src/${name}`, here)));
}
for (const [from, to] of [
  ["swagger-ui-bundle.js", "swagger-ui-bundle.js"],
  ["swagger-ui.css", "swagger-ui.css"],
  ["LICENSE", "swagger-ui-LICENSE.txt"],
  ["NOTICE", "swagger-ui-NOTICE.txt"],
  ["swagger-ui-bundle.js.LICENSE.txt", "swagger-ui-bundle.js.LICENSE.txt"],
]) {
  files.set(to, await readFile(new URL(from, vendor)));
}
// What is large travels zipped; the server picks by Accept-Encoding.
for (const name of ["swagger-ui-bundle.js", "swagger-ui.css"]) {
  files.set(`${name}.gz`, gzipSync(files.get(name), { level: 9 }));
}

await mkdir(dist, { recursive: true });
for (const name of await readdir(dist)) {
  if (name !== "placeholder.html" && !files.has(name)) await rm(new URL(name, dist), { recursive: true });
}
for (const [name, content] of files) {
  const target = new URL(name, dist);
  const before = await readFile(target).catch(() => null);
  if (!before?.equals(content)) await writeFile(target, content);
}
