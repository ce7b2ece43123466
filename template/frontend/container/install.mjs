// Installs what the lock file says, whichever package manager's it is. npm is there; others come from its
// registry, in the version that package.json names as `packageManager`.
import { spawnSync } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";

const LOCKS = { "package-lock.json": "npm", "pnpm-lock.yaml": "pnpm", "yarn.lock": "yarn" };
function refuse(fault) {
  console.error(`install: ${fault}`);
  process.exit(1);
}

const [lock, another] = Object.keys(LOCKS).filter((file) => existsSync(file));
if (!lock) refuse(`there is no lock file: commit one of ${Object.keys(LOCKS).join(", ")}`);
if (another) refuse(`${lock} and ${another} may disagree: keep the one of your package manager`);
const { packageManager = LOCKS[lock] } = JSON.parse(readFileSync("package.json", "utf8"));
const [manager, version] = packageManager.split(/[@+]/); // A hash may follow the version.
if (manager !== LOCKS[lock]) refuse(`package.json names ${manager} as packageManager, but ${lock} is there`);
// From version 2 on yarn is another package, and frozen is called immutable.
const yarn1 = version ? version.startsWith("1.") : !/^__metadata:/m.test(readFileSync(lock, "utf8"));
const words = {
  // What is known against the packages and who asks for money are no part of an installation, and take seconds.
  npm: `${version ? `exec --yes npm@${version} -- ` : ""}ci --no-audit --no-fund`,
  pnpm: `exec --yes pnpm@${version ?? 10} -- install --frozen-lockfile`,
  yarn: yarn1
    ? `exec --yes yarn@${version ?? 1} -- install --frozen-lockfile`
    : `exec --yes --package=@yarnpkg/cli-dist@${version ?? 4} -- yarn install --immutable`,
}[manager];
console.log(`install: npm ${words}`);
// The release of yarn that a project may carry is not there yet; and yarn knows no setting of npm's.
const registry = process.env.NPM_CONFIG_REGISTRY ?? process.env.npm_config_registry;
const env = { YARN_IGNORE_PATH: "1", YARN_NPM_REGISTRY_SERVER: registry, ...process.env };
const [npm, ...script] = env.npm_execpath ? [process.execPath, env.npm_execpath] : ["npm"];
process.exit(spawnSync(npm, [...script, ...words.split(" ")], { stdio: "inherit", env }).status ?? 1);
