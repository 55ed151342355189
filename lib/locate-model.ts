import { refuse } from './contract/check-options.js'
import { RivuletError } from './contract/errors.js'
import type { ModelLocation, RemoteLocation } from './contract/model-location.js'

/**
 * The location of a model. `onnx()` needs a folder. `llamaCpp()` needs a GGUF file, or a folder whose files can be listed
 * (on the hub, or local). The location is one of:
 * - the URL of the folder or GGUF file: absolute, or relative to the document's base URL and starting with `/`, `./` or
 *   `../`. A string without such a start, such as `models/stories`, is a name on the hub;
 * - `owner/name[@revision]` on the Hugging Face hub, or `owner/name[@revision]/path/file.gguf`;
 * - a local folder: the handle from `showDirectoryPicker()` or of a folder dropped on the page. Files are read from the
 *   folder and its direct subfolders;
 * - local files, as an array of `File`s: `[...input.files]` of `<input type="file" multiple>`, with or without
 *   `webkitdirectory`. `input.files` itself is not an array.
 */
export type ModelSource = string | URL | FileSystemDirectoryHandle | readonly File[]

export const defaultHubUrl = 'https://huggingface.co/'

const hubReference =
  /^(?<repository>[\w.-]+\/[\w.-]+?)(?:@(?<revision>[\w./-]+?))?(?:\/(?<file>[\w./-]+\.gguf))?$/i
const ggufFile = /[^/]+\.gguf$/i
const relativeUrl = /^\.{0,2}\//
const commit = /^[0-9a-f]{40}$/

/**
 * Turns a model source into a location. For a local folder, reads the list of its files.
 * @param base the base of relative URLs
 * @throws RivuletError `invalid-option` if `source` has none of the forms of `ModelSource`, or cannot be read
 */
export async function locateModel(
  source: ModelSource,
  { base, hubUrl = defaultHubUrl }: { readonly base: string; readonly hubUrl?: string | undefined },
): Promise<ModelLocation> {
  if (typeof source === 'string' || source instanceof URL) return locateRemote(source, base, hubUrl)
  if (!('kind' in source) && ![...source].every((file) => file instanceof File)) {
    refuse('"model" must be a string, a URL, a directory handle or a list of files.')
  }
  const files = 'kind' in source ? await readDirectory(source) : listFiles(source)
  if (files.size === 0) refuse('"model" contains no files.')
  return { kind: 'local', name: 'kind' in source ? source.name : nameFolder(source), files }
}

/** Returns the location of a model at a URL or on the hub. @throws RivuletError `invalid-option` */
export function locateRemote(source: string | URL, base: string, hubUrl: string): RemoteLocation {
  const text = String(source)
  const hub = source instanceof URL || relativeUrl.test(text) ? undefined : hubReference.exec(text)?.groups
  if (hub) {
    // A revision is one path segment, as in huggingface_hub's `hf_hub_url`: the slashes of "refs/pr/1" are encoded.
    const revision = encodeURIComponent(hub.revision ?? 'main')
    const hubFolder = endWithSlash(new URL(hubUrl, base)).href
    return {
      kind: 'hub',
      url: `${hubFolder}${hub.repository}/resolve/${revision}/`,
      file: hub.file,
      listingUrl: `${hubFolder}api/models/${hub.repository}/tree/${revision}?recursive=true`,
      isCommit: commit.test(revision),
    }
  }
  if (!relativeUrl.test(text) && !URL.canParse(text)) {
    refuse(
      `"${text}" is not a model. Use a URL, a path that starts with "/", "./" or "../", or "owner/name" on the hub.`,
    )
  }
  const url = new URL(text, base)
  const file = ggufFile.exec(url.pathname)?.[0]
  if (file === undefined) return { kind: 'folder', url: endWithSlash(url).href, file }
  // The query, such as a signature, belongs to the file.
  return { kind: 'folder', url: new URL('./', url).href, file: file + url.search }
}

function endWithSlash(url: URL): URL {
  if (!url.pathname.endsWith('/')) url.pathname += '/'
  return url
}

/** How many levels of folders are read: the folder and its direct subfolders, such as `onnx/`. */
const maxDepth = 2

async function readDirectory(directory: FileSystemDirectoryHandle): Promise<Map<string, File>> {
  const files = new Map<string, File>()
  async function read(folder: FileSystemDirectoryHandle, prefix: string, depth: number): Promise<void> {
    for await (const entry of folder.values()) {
      const path = prefix + entry.name
      if (entry.kind === 'file') files.set(path, await (entry as FileSystemFileHandle).getFile())
      else if (depth < maxDepth) await read(entry as FileSystemDirectoryHandle, `${path}/`, depth + 1)
    }
  }
  try {
    await read(directory, '', 1)
  } catch (error) {
    throw new RivuletError(
      'invalid-option',
      `The folder "${directory.name}" could not be read. Ask the user to choose it again.`,
      {
        cause: error,
      },
    )
  }
  return files
}

function listFiles(files: readonly File[]): Map<string, File> {
  // Each path starts with the chosen folder's name, which is removed here.
  return new Map(
    files.map((file) => [readRelativePath(file).split('/').slice(1).join('/') || file.name, file]),
  )
}

function nameFolder([file]: readonly File[]): string {
  return (file && readRelativePath(file).split('/')[0]) || 'files'
}

/** Returns '' for files that were chosen one by one, and in browsers that lack `webkitRelativePath`. */
function readRelativePath(file: Partial<File>): string {
  return file.webkitRelativePath ?? ''
}
