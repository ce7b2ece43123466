// Says what is wrong with API_URL, the one setting this application needs, without ever repeating its value.

const HINT = "give the backend's address as an absolute URL, for example http://backend:8000";

/**
 * @param {string | undefined} value
 * @returns {string | undefined} the fault, in one line
 */
export function apiUrlFault(value) {
  if (!value?.trim()) return `API_URL is not set: ${HINT}`;
  if (/["'`]/.test(value)) return `API_URL contains quotes: ${HINT}`;
  // The URL parser would drop or rewrite these silently.
  if (/[\s\\]/.test(value)) return `API_URL contains white space or a backslash: ${HINT}`;
  if (!/^https?:\/\/[^/?#]/i.test(value))
    return `API_URL does not start with http:// or https:// and a host: ${HINT}`;
  if (!URL.canParse(value)) return `API_URL is not a valid URL: ${HINT}`;
  const url = new URL(value);
  if (url.username || url.password) return `API_URL contains a user name or password: ${HINT}`;
  if (/[?#]/.test(value)) return `API_URL contains a query or fragment: ${HINT}`;
  return undefined;
}
