import { refuse } from './check-options.js'
import { RivuletError } from './errors.js'

/**
 * Where a model is:
 * - the URL of its folder, or of its GGUF file, absolute, or relative to the page and then starting with `/`, `./` or
 *   `../`;
 * - `owner/name[@revision]` on the Hugging Face hub, or `owner/name[@revision]/file.gguf`;
 * - a folder of the visitor's, from `showDirectoryPicker()` or dropped on the page;
 * - files of the visitor's, from `<input type="file" multiple>` or `webkitdirectory`.
 */
export type ModelSource = string | URL | FileSystemDirectoryHandle | readonly File[]

/** A model's place, as the worker is told of it. */
export type ModelLocation =
  | {
      readonly kind: 'folder'
      readonly url: string
      /** The GGUF file in it, where one was named. */
      readonly file?: string | undefined
    }
  | {
      readonly kind: 'hub'
      /** Of the folder, with a slash at its end. */
      readonly url: string
      readonly file?: string | undefined
      /** Where the hub lists the folder's files, with their sizes and hashes. */
      readonly listingUrl: string
      /** A commit's files never change. */
      readonly isCommit: boolean
    }
  /** The backend knows: it is no folder. */
  | { readonly kind: 'none' }
  | {
      readonly kind: 'local'
      readonly name: string
      /** By path in the folder, or by name where they have none. */
      readonly files: ReadonlyMap<string, File>
    }

/** A model's place behind a URL. */
export type RemoteLocation = Extract<ModelLocation, { kind: 'folder' | 'hub' }>

export const defaultHubUrl = 'https://huggingface.co/'

const hubReference =
  /^(?<repository>[\w.-]+\/[\w.-]+?)(?:@(?<revision>[\w./-]+?))?(?:\/(?<file>[\w./-]+\.gguf))?$/i
const ggufFile = /[^/]+\.gguf$/i
const relativeUrl = /^\.{0,2}\//
const commit = /^[0-9a-f]{40}$/

/**
 * @param base what a relative URL is relative to
 * @throws RivuletError `invalid-option` when `source` is none of the forms above, or cannot be read
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
  if (files.size === 0) refuse('"model" has no files.')
  return { kind: 'local', name: 'kind' in source ? source.name : nameFolder(source), files }
}

/** @throws RivuletError `invalid-option` */
export function locateRemote(source: string | URL, base: string, hubUrl: string): RemoteLocation {
  const text = String(source)
  const hub = source instanceof URL || relativeUrl.test(text) ? undefined : hubReference.exec(text)?.groups
  if (hub) {
    // A revision is one segment, as in huggingface_hub's `hf_hub_url`: "refs/pr/1" has slashes of its own.
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
      `"${text}" is not a model: give a folder's URL, a path that starts with "/" or "./", or "owner/name" on the hub.`,
    )
  }
  const url = new URL(text, base)
  const file = ggufFile.exec(url.pathname)?.[0]
  if (file === undefined) return { kind: 'folder', url: endWithSlash(url).href, file }
  // What follows the path, such as a signature, belongs to the file.
  return { kind: 'folder', url: new URL('./', url).href, file: file + url.search }
}

function endWithSlash(url: URL): URL {
  if (!url.pathname.endsWith('/')) url.pathname += '/'
  return url
}

/** How deep a model's files can lie: `onnx/` is the deepest that is read. */
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
    throw new RivuletError('invalid-option', `The folder "${directory.name}" could not be read.`, {
      cause: error,
    })
  }
  return files
}

function listFiles(files: readonly File[]): Map<string, File> {
  // The chosen folder's own name comes first in each path.
  return new Map(
    files.map((file) => [readRelativePath(file).split('/').slice(1).join('/') || file.name, file]),
  )
}

function nameFolder([file]: readonly File[]): string {
  return (file && readRelativePath(file).split('/')[0]) || 'files'
}

/** Empty for files that were chosen by themselves; some browsers leave the property out. */
function readRelativePath(file: Partial<File>): string {
  return file.webkitRelativePath ?? ''
}
