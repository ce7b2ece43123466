// Tells when Next.js can serve: its routes are loaded, and the application's instrumentation.ts has done its part.

/**
 * Next.js listens before, and serves errors for ever after when this fails; it tells nobody but its log. So this looks
 * on while it prepares. A Next.js that is made otherwise counts as prepared once it listens.
 *
 * @param {NodeJS.Require} require what the application's server.js requires by
 * @returns {Promise<void>} rejected with what Next.js failed by
 */
export function prepared(require) {
  let prototype;
  try {
    ({ prototype } = require("next/dist/server/next-server").default);
  } catch {
    return Promise.resolve();
  }
  const { prepare } = prototype;
  return new Promise((resolve, reject) => {
    /** @this {unknown} @param {unknown[]} parameters */
    prototype.prepare = function (...parameters) {
      const preparing = prepare.apply(this, parameters);
      preparing.then(resolve, reject);
      return preparing;
    };
  });
}
