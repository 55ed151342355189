/**
 * @typedef {{ readonly version: string, readonly homepage?: string, readonly repository?: { readonly url?: string },
 *   readonly bugs?: { readonly url?: string } }} Manifest
 */

/**
 * Returns what is missing for a release. npm's page of the package resolves the relative links of the README only if
 * `repository` is set.
 * @param {Manifest} manifest the content of package.json
 * @param {string} changelog the content of CHANGELOG.md
 * @returns {string[]}
 */
export function findReleaseProblems({ version, homepage, repository, bugs }, changelog) {
  /** @type {[string, string | undefined, string][]} */
  const addresses = [
    ['repository.url', repository?.url, 'the public repository'],
    ['homepage', homepage, 'the API pages, which this script builds'],
    ['bugs.url', bugs?.url, 'the issues'],
  ]
  const problems = addresses
    .filter(([, url]) => !isPublicAddress(url))
    .map(([field, , what]) => `Set the address of ${what}: npm pkg set ${field}=https://…`)
  const heading = `## ${version} (`
  const state = changelog.split(heading)[1]?.split(')')[0]
  if (!/^\d{4}-\d\d-\d\d$/.test(state ?? '')) {
    problems.push(`Write the date of the release into CHANGELOG.md: ${heading}YYYY-MM-DD)`)
  }
  return problems
}

/** @param {string | undefined} url */
function isPublicAddress(url) {
  return /^(git\+)?https:\/\/[^/]+\.[^/]+/.test(url ?? '')
}
