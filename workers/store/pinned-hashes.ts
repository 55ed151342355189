import { RivuletError } from '../../lib/contract/errors.js'

const maxNamedFiles = 20

/**
 * Creates the error for a hash whose file does not exist. Without this error, a misspelt path would mean that the intended
 * file is loaded unchecked.
 */
export function createUnknownFileError(
  path: string,
  folder: string,
  knownFiles: readonly string[],
): RivuletError {
  const shown = knownFiles.slice(0, maxNamedFiles).join(', ')
  const rest = knownFiles.length > maxNamedFiles ? ` and ${knownFiles.length - maxNamedFiles} more` : ''
  return new RivuletError(
    'invalid-option',
    `"download.sha256" has a hash for "${path}", but ${folder} has no such file.` +
      (knownFiles.length > 0 ? ` It has: ${shown}${rest}.` : '') +
      ' Use paths relative to the model folder.',
  )
}

/**
 * Returns a file's address, which is used to match hashes to files. The address does not depend on how the path is encoded
 * (`a b.gguf` or `a%20b.gguf`), and has no query, because a query may be a signature.
 * @returns undefined for a path outside the folder
 */
export function locateFile(path: string, folderUrl: string): string | undefined {
  if (!URL.canParse(path, folderUrl)) return undefined
  const address = withoutQuery(new URL(path, folderUrl))
  return address.startsWith(withoutQuery(new URL(folderUrl))) ? address : undefined
}

function withoutQuery({ protocol, host, pathname }: URL): string {
  return `${protocol}//${host}${pathname}`
}
