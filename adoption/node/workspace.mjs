// What the builds of a Next.js application and of a program share: the workspace's packages, and their scripts.
import { spawnSync } from "node:child_process";
import { existsSync, readFileSync, realpathSync, writeFileSync } from "node:fs";
import { dirname, join, resolve } from "node:path";

export const TOP = "/app";
export const app = process.cwd();
const ours = import.meta.dirname;
const [, , lock, command] = process.argv;
export const root = dirname(resolve(TOP, lock));
export const [manager, version] = readFileSync(join(ours, "manager"), "utf8").split(/[@+]/);

export function refuse(fault) {
  console.error(`build: ${fault}`);
  process.exit(1);
}
export const read = (path) => JSON.parse(readFileSync(path, "utf8").replace(/^\uFEFF/, ""));

/** The workspace's own packages that one needs, each after those that it needs itself. */
function needed(folder, seen = new Set([app])) {
  const { dependencies, devDependencies } = read(join(folder, "package.json"));
  return Object.keys({ ...dependencies, ...devDependencies }).flatMap((name) => {
    let place = folder;
    while (place !== dirname(place) && !existsSync(join(place, "node_modules", name))) place = dirname(place);
    const found = join(place, "node_modules", name);
    const real = existsSync(found) ? realpathSync(found) : app;
    if (seen.has(real) || real.includes("/node_modules/")) return [];
    seen.add(real);
    return [...needed(real, seen), real];
  });
}

/** Takes `overrides` away, which pnpm and yarn do not read: npm, which brings both, ends where they contradict a dependency. */
function withoutOverrides(folder) {
  const path = join(folder, "package.json");
  const { overrides, ...rest } = existsSync(path) ? read(path) : {};
  if (overrides) writeFileSync(path, JSON.stringify(rest, null, 2));
}

/** Runs a program with its package manager on the PATH, as scripts call that by its name. */
export function run(cwd, env, ...words) {
  const name = manager === "yarn" && !version.startsWith("1") ? "@yarnpkg/cli-dist" : manager;
  const call =
    manager === "npm" ? words : ["npm", "exec", "--yes", `--package=${name}@${version}`, "--", ...words];
  if (["pnpm", "yarn"].includes(manager)) for (const folder of new Set([cwd, root])) withoutOverrides(folder);
  const given = { ...process.env, ...env, YARN_IGNORE_PATH: "1", YARN_NODE_LINKER: "node-modules" };
  const { status } = spawnSync(call[0], call.slice(1), { cwd, env: given, stdio: "inherit" });
  if (status !== 0) refuse(`\`${words.join(" ")}\` failed in ${cwd}`);
}

/** Runs the command that was told; before the application's own `build` that of each package which it needs. */
export function build(env, otherwise) {
  const told = command && command !== "npm run build";
  if (!told || /^(pnpm|yarn|bun) run build$/.test(command))
    for (const folder of needed(app)) run(folder, env, "npm", "run", "build", "--if-present");
  if (told) return run(app, env, "sh", "-c", command);
  const own = read("package.json").scripts?.build ? ["npm", "run", "build"] : otherwise;
  if (own) run(app, env, ...own);
}

/** Writes down what is installed for production. */
export function inventory(path) {
  const options = { maxBuffer: 1 << 28, stdio: ["ignore", "pipe", "inherit"] };
  const { status, stdout } = spawnSync("node", [join(ours, "sbom.mjs")], options);
  if (status !== 0) refuse("what is installed could not be written down");
  writeFileSync(path, stdout);
}
