// Run while the image is built: writes the package.json and package-lock.json of the packages named, and of what
// they need, alone. Their layer stays as it is when another dependency changes.
// Usage: node lock-subset.mjs <folder to write into> <package>...
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";

const [folder = "", ...names] = process.argv.slice(2);
const manifest = JSON.parse(readFileSync("package.json", "utf8"));
/** @type {{ lockfileVersion: number, requires: boolean, packages: Record<string, any> }} */
const lock = JSON.parse(readFileSync("package-lock.json", "utf8"));

/** @type {Record<string, any>} */
const kept = {};

/**
 * Names of what a package cannot be installed without.
 *
 * @param {any} entry
 */
function needs({ dependencies, optionalDependencies, peerDependencies, peerDependenciesMeta }) {
  const peers = Object.keys(peerDependencies ?? {}).filter((name) => !peerDependenciesMeta?.[name]?.optional);
  return [...Object.keys({ ...dependencies, ...optionalDependencies }), ...peers];
}

/**
 * Found as Node.js finds it: in the node_modules of the package that asks, or of a folder above it.
 *
 * @param {string} name
 * @param {string} asker where the package that asks lies, such as node_modules/next
 */
function keep(name, asker) {
  for (let above = asker; ; above = above.slice(0, Math.max(above.lastIndexOf("/node_modules/"), 0))) {
    const path = `${above}${above && "/"}node_modules/${name}`;
    const entry = lock.packages[path];
    if (entry && !kept[path]) {
      kept[path] = entry;
      for (const need of needs(entry)) keep(need, path);
    }
    if (entry || !above) return;
  }
}

/** @type {Record<string, string>} */
const dependencies = {};
for (const name of names) {
  const wanted = manifest.dependencies?.[name];
  if (!wanted) continue;
  dependencies[name] = wanted;
  keep(name, "");
}

/**
 * @param {string} file
 * @param {object} content
 */
const write = (file, content) => writeFileSync(`${folder}/${file}`, JSON.stringify(content, null, 2));

const { lockfileVersion, requires } = lock;
const packages = { "": { dependencies }, ...kept };
mkdirSync(folder, { recursive: true });
write("package.json", { private: true, dependencies, overrides: manifest.overrides });
write("package-lock.json", { lockfileVersion, requires, packages });
