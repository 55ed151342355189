import { RivuletError } from '../../lib/contract/errors.js'

const maxNamedFiles = 20

/** A hash of `download.sha256` for a file that the model does not have: the file that was meant would stay unchecked. */
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
 * A file's address, by which a hash finds its file: it does not depend on how the path is written (`a b.gguf`, `a%20b.gguf`),
 * nor on a signature after it.
 * @returns undefined for a path that leads out of the folder
 */
export function locateFile(path: string, folderUrl: string): string | undefined {
  if (!URL.canParse(path, folderUrl)) return undefined
  const address = withoutQuery(new URL(path, folderUrl))
  return address.startsWith(withoutQuery(new URL(folderUrl))) ? address : undefined
}

function withoutQuery({ protocol, host, pathname }: URL): string {
  return `${protocol}//${host}${pathname}`
}
