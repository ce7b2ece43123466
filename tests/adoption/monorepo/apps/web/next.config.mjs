export default { transpilePackages: ["@monorepo/ui"] };
