// Installs what the lock file says, whichever package manager's it is, and nothing else. npm is there; the others are
// taken from its registry, in the version that package.json names as `packageManager`.
import { spawnSync } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";

const LOCKS = { "package-lock.json": "npm", "pnpm-lock.yaml": "pnpm", "yarn.lock": "yarn" };

/**
 * @param {string} fault
 * @returns {never}
 */
function refuse(fault) {
  console.error(`install: ${fault}`);
  process.exit(1);
}

const found = Object.entries(LOCKS).filter(([file]) => existsSync(file));
const [[lock, manager] = ["", ""], another] = found;
if (!lock) refuse(`there is no lock file: commit one of ${Object.keys(LOCKS).join(", ")}`);
if (another) refuse(`${lock} and ${another[0]} may disagree: keep the one of your package manager`);

const { packageManager = "" } = JSON.parse(readFileSync("package.json", "utf8"));
// A hash may follow the version.
const [named, version] = packageManager.split("+")[0].split("@");
if (named && named !== manager)
  refuse(`package.json names ${named} as its packageManager, but ${lock} is there`);

const frozen = ["install", "--frozen-lockfile"];
const exec = ["exec", "--yes"];
let words = version ? [...exec, `npm@${version}`, "--", "ci"] : ["ci"];
if (manager === "pnpm") words = [...exec, `pnpm@${version ?? 10}`, "--", ...frozen];
if (manager === "yarn") {
  const classic = version ? version.startsWith("1.") : !/^__metadata:/m.test(readFileSync(lock, "utf8"));
  words = classic
    ? [...exec, `yarn@${version ?? 1}`, "--", ...frozen]
    : // From version 2 on it is another package, and frozen is called immutable.
      [...exec, `--package=@yarnpkg/cli-dist@${version ?? 4}`, "--", "yarn", "install", "--immutable"];
}
console.log(`install: npm ${words.join(" ")}`);

const env = { ...process.env };
// The release of yarn that a project may carry is not there yet; and yarn knows no setting of npm's.
env.YARN_IGNORE_PATH ??= "1";
const registry = env.NPM_CONFIG_REGISTRY ?? env.npm_config_registry;
if (registry) env.YARN_NPM_REGISTRY_SERVER ??= registry;
const [program = "", ...before] = env.npm_execpath ? [process.execPath, env.npm_execpath] : ["npm"];
process.exit(spawnSync(program, [...before, ...words], { stdio: "inherit", env }).status ?? 1);
