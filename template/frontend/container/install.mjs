// Installs what the lock file says, whichever package manager's it is. npm is there; others come from its
// registry, in the version that package.json names as `packageManager`.
import { spawnSync } from "node:child_process";
import { existsSync, readFileSync, writeFileSync } from "node:fs";

const LOCKS = {
  "package-lock.json": "npm",
  "npm-shrinkwrap.json": "npm",
  "pnpm-lock.yaml": "pnpm",
  "yarn.lock": "yarn",
  "bun.lock": "bun",
  "bun.lockb": "bun",
};
const SCRIPTS = ["preinstall", "install", "postinstall", "preprepare", "prepare", "postprepare"];
// What sets up the hooks of a git that no image has, alone or where that is no CI.
const GIT_HOOKS =
  /^((npx |pnpm (exec )?|yarn |bunx )?(husky( install)?|lefthook install|simple-git-hooks)( [\w./-]+)?|git config (--\S+ )*core\.hooksPath \S+|true|exit 0|is-ci|\[.*\bCI\b.*\])$/;

/** The scripts without the steps of an installation that only set up hooks, and so would end it. */
function withoutHooks(scripts) {
  const left = { ...scripts };
  for (const name of SCRIPTS.filter((name) => left[name])) {
    const steps = left[name]
      .split("&&")
      .filter((step) => !step.split("||").every((one) => GIT_HOOKS.test(one.trim())));
    if (steps.length) left[name] = steps.join("&&").trim();
    else delete left[name];
  }
  return left;
}

function refuse(fault) {
  console.error(`install: ${fault}`);
  process.exit(1);
}

const [lock, another] = Object.keys(LOCKS).filter((file) => existsSync(file));
if (!lock) refuse(`there is no lock file: commit one of ${Object.keys(LOCKS).join(", ")}`);
if (another) refuse(`${lock} and ${another} may disagree: keep the one of your package manager`);
const about = JSON.parse(readFileSync("package.json", "utf8"));
const { packageManager = LOCKS[lock] } = about;
const [manager, version] = packageManager.split(/[@+]/); // A hash may follow the version.
if (manager !== LOCKS[lock]) refuse(`package.json names ${manager} as packageManager, but ${lock} is there`);
// Its build gets package.json as it is again; outside of an image that file is its owner's.
if (process.argv.includes("--for-an-image")) {
  const { overrides, ...rest } = about;
  // pnpm and yarn do not read them, and npm, which brings both, ends where they contradict what is installed.
  const kept = ["npm", "bun"].includes(manager) ? { overrides } : {};
  writeFileSync(
    "package.json",
    JSON.stringify({ ...rest, ...kept, scripts: withoutHooks(about.scripts) }, null, 2),
  );
}
// From version 2 on yarn is another package, and frozen is called immutable.
const yarn1 = version ? version.startsWith("1.") : !/^__metadata:/m.test(readFileSync(lock, "utf8"));
const words = {
  // What is known against the packages and who asks for money are no part of an installation, and take seconds.
  npm: `${version ? `exec --yes npm@${version} -- ` : ""}ci --no-audit --no-fund`,
  pnpm: `exec --yes pnpm@${version ?? 10} -- install --frozen-lockfile`,
  yarn: yarn1
    ? `exec --yes yarn@${version ?? 1} -- install --frozen-lockfile`
    : `exec --yes --package=@yarnpkg/cli-dist@${version ?? 4} -- yarn install --immutable`,
  bun: `exec --yes bun@${version ?? 1} -- install --frozen-lockfile`,
}[manager];
console.log(`install: npm ${words}`);
// The release of yarn that a project may carry is not there yet; and yarn knows no setting of npm's. It asks for fifty
// packages at once, and ends with a stack trace where one of them takes a minute.
const registry = process.env.NPM_CONFIG_REGISTRY ?? process.env.npm_config_registry;
const env = {
  YARN_IGNORE_PATH: "1",
  YARN_HTTP_TIMEOUT: "600000",
  YARN_NPM_REGISTRY_SERVER: registry,
  ...process.env,
};
const [npm, ...script] = env.npm_execpath ? [process.execPath, env.npm_execpath] : ["npm"];
process.exit(spawnSync(npm, [...script, ...words.split(" ")], { stdio: "inherit", env }).status ?? 1);
