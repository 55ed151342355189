/**
 * Matches the message of a failed `fetch` or `import()` in Chromium, in WebKit ("Load failed", "Importing a module script
 * failed.") and in Firefox ("NetworkError when attempting to fetch resource.", "error loading dynamically imported module").
 */
const networkFailure =
  /Failed to fetch|Load failed|NetworkError|Importing a module script failed|error loading dynamically imported module/i

/** Returns true if the message of an error says that a file could not be downloaded. */
export function isNetworkFailure(message: string): boolean {
  return networkFailure.test(message)
}
