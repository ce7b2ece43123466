// Writes what is installed for production as CycloneDX, for scanners of the image: of a package that the build takes
// into its own files nothing else tells. The same packages give the same document.
import { existsSync, readFileSync, realpathSync } from "node:fs";
import { dirname, join } from "node:path";

const read = (folder) =>
  JSON.parse(readFileSync(join(folder, "package.json"), "utf8").replace(/^\uFEFF/, ""));

// Where Node.js finds a package from a folder, links (pnpm's, a workspace's) followed; undefined if it is not installed.
function find(name, folder) {
  const place = join(folder, "node_modules", name);
  if (existsSync(join(place, "package.json"))) return realpathSync(place);
  return folder === dirname(folder) ? undefined : find(name, dirname(folder));
}

// What it asks for when it runs; a peer that it may do without is in the image if another package asks for it.
function needs({ dependencies, optionalDependencies, peerDependencies, peerDependenciesMeta = {} }) {
  const peers = Object.keys(peerDependencies ?? {}).filter((name) => !peerDependenciesMeta[name]?.optional);
  return [...Object.keys({ ...dependencies, ...optionalDependencies }), ...peers];
}

// Several, as was usual before there were expressions, are for choice.
function licences({ license, licenses }) {
  const text = [license ?? licenses ?? []]
    .flat()
    .map((one) => one?.type ?? one)
    .join(" OR ");
  if (!text) return {};
  return { licenses: [/ (AND|OR|WITH) /.test(text) ? { expression: text } : { license: { name: text } }] };
}

const root = process.cwd();
const folders = new Set([root]);
const components = new Map();
for (const folder of folders) {
  const about = read(folder);
  // What is private is the application's own, a workspace's member, and no registry has it.
  if (folder !== root && about.name && about.version && !about.private) {
    const purl = `pkg:npm/${about.name.replace("@", "%40")}@${encodeURIComponent(about.version)}`;
    const { name, version } = about;
    components.set(purl, { type: "library", "bom-ref": purl, name, version, ...licences(about), purl });
  }
  for (const name of needs(about)) {
    const found = find(name, folder);
    if (found) folders.add(found);
  }
}
const sorted = [...components.keys()].sort().map((purl) => components.get(purl));
console.log(JSON.stringify({ bomFormat: "CycloneDX", specVersion: "1.6", version: 1, components: sorted }));
