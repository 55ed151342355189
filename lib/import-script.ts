import { RivuletError, describeError } from './contract/errors.js'

/**
 * What a part of the library that is a script of its own gives. Whoever waits for it hears of a failure; nobody has to.
 * @throws RivuletError `script-failed`. The next call asks again, as the HTML standard has it since 2026
 *   (https://github.com/whatwg/html/pull/10327); a browser that is older may keep the failure as long as the page is open.
 */
export function importScript<Part>(load: () => Promise<Part>): Promise<Part> {
  const part = load().catch((error: unknown) => {
    throw new RivuletError(
      'script-failed',
      `A script of this library could not be loaded: see that the page is online, newer than the last deployment, and that its CSP allows the script (script-src). Try again, or load the page again. ${describeError(error)}`,
      { cause: error },
    )
  })
  part.catch(() => {})
  return part
}
