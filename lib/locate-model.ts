import { refuse } from './contract/check-options.js'
import { RivuletError } from './contract/errors.js'
import { ggufPattern } from './contract/gguf-name.js'
import type { ModelLocation, RemoteLocation } from './contract/model-location.js'

/**
 * The location of a model. `onnx()` needs a folder. `llamaCpp()` needs a GGUF file, or a folder whose files can be listed
 * (on the hub, with a list, or local). The location is one of:
 * - the URL of the folder or GGUF file: absolute, or relative to the document's base URL and starting with `/`, `./` or
 *   `../`. A string without such a start, such as `models/stories`, is a name on the hub. The URL's query, such as a
 *   signature, is sent with the request for each file, and is not part of the model's identity;
 * - the URL of a list of the folder's files, whose name ends with `.json`: an array of the paths, or a hub's answer to
 *   `/api/models/owner/name/tree/main?recursive=true`. Files that the list does not contain are not requested;
 * - `owner/name[@revision]` on the Hugging Face hub, or `owner/name[@revision]/path/file.gguf`;
 * - a local folder: the handle from `showDirectoryPicker()` or of a folder dropped on the page. Files are read from the
 *   folder and its direct subfolders;
 * - local files: a `File`, the `FileList` of `<input type="file" multiple>`, with or without `webkitdirectory`, or an array
 *   of either.
 */
export type ModelSource =
  | string
  | URL
  | FileSystemDirectoryHandle
  | File
  | FileList
  | readonly (File | FileList)[]

export const defaultHubUrl = 'https://huggingface.co/'

const hubReference =
  /^(?<repository>[\w.-]+\/[\w.-]+?)(?:@(?<revision>[\w./-]+?))?(?:\/(?<file>[\w./-]+\.gguf))?$/i
const relativeUrl = /^\.{0,2}\//
const commit = /^[0-9a-f]{40}$/

/** How a model source is read. */
interface SourceReading {
  /** The base of relative URLs. */
  readonly base: string
  readonly hubUrl?: string | undefined
  /** True if a URL without a slash at its end is a file, whatever its name. Otherwise it is a folder, except for `.gguf`. */
  readonly takesFile?: boolean | undefined
}

/**
 * Turns a model source into a location. For a local folder, reads the list of its files.
 * @throws RivuletError `invalid-option` if `source` has none of the forms of `ModelSource`, or cannot be read
 */
export async function locateModel(
  source: ModelSource,
  { base, hubUrl = defaultHubUrl, takesFile }: SourceReading,
): Promise<ModelLocation> {
  if (typeof source === 'string' || source instanceof URL)
    return locateRemote(source, base, hubUrl, takesFile)
  if (isDirectory(source)) return createLocal(source.name, await readDirectory(source))
  const files = listChosen(source) ?? refuseSource(source)
  return createLocal(nameFolder(files), listFiles(files))
}

function createLocal(name: string, files: ReadonlyMap<string, File>): ModelLocation {
  if (files.size === 0) refuse('"model" contains no files.', 'model')
  return { kind: 'local', name, files }
}

function refuseSource(source: object | null): never {
  const kind = nameType(source)
  const advice =
    kind === 'FileSystemFileHandle'
      ? ' Pass the file itself: await handle.getFile().'
      : kind === 'Blob'
        ? ' Wrap it: new File([blob], name).'
        : ''
  return refuse(
    `"model" must be a string, a URL, a directory handle, a File, a FileList, or an array of files.${advice}`,
    'model',
  )
}

/** Returns the name of a platform object's type. Unlike `instanceof`, it recognizes objects of other frames. */
function nameType(value: unknown): string {
  return Object.prototype.toString.call(value).slice('[object '.length, -1)
}

function isDirectory(source: object | null): source is FileSystemDirectoryHandle {
  return (source as { readonly kind?: unknown } | null)?.kind === 'directory'
}

/** Returns the files of a `File`, a `FileList` or an array of them; undefined if `source` is something else. */
function listChosen(source: unknown): readonly File[] | undefined {
  const type = nameType(source)
  if (type === 'File') return [source as File]
  if (type === 'FileList') return [...(source as FileList)]
  if (!Array.isArray(source)) return undefined
  const lists = source.map((each: unknown) => (Array.isArray(each) ? undefined : listChosen(each)))
  return lists.every((list) => list !== undefined) ? lists.flat() : undefined
}

/**
 * Returns the location of a model at a URL or on the hub.
 * @param takesFile see `SourceReading`
 * @throws RivuletError `invalid-option`
 */
export function locateRemote(
  source: string | URL,
  base: string | undefined,
  hubUrl: string,
  takesFile = false,
): RemoteLocation {
  const text = String(source)
  const hub = source instanceof URL || relativeUrl.test(text) ? undefined : hubReference.exec(text)?.groups
  if (hub) {
    // A revision is one path segment, as in huggingface_hub's `hf_hub_url`: the slashes of "refs/pr/1" are encoded.
    const revision = encodeURIComponent(hub.revision ?? 'main')
    const hubFolder = endWithSlash(new URL(hubUrl, base)).href
    return {
      kind: 'hub',
      url: `${hubFolder}${hub.repository}/resolve/${revision}/`,
      name: hub.file === undefined ? text : text.slice(0, -hub.file.length - 1),
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
  if (!URL.canParse(text, base)) {
    refuse(
      `"${text}" is relative to a page, and this code runs on a server. Use an absolute URL there.`,
      'model',
    )
  }
  const url = new URL(text, base)
  if (!URL.canParse('./', url)) {
    refuse(`"${url.protocol}" URLs cannot be a model. Pass an http(s) URL, or the File itself.`, 'model')
  }
  const query = url.search === '' ? {} : { query: url.search }
  url.search = ''
  url.hash = ''
  const file = url.pathname.slice(url.pathname.lastIndexOf('/') + 1)
  const folder = new URL('./', url).href
  if (/\.json$/i.test(file)) {
    return { kind: 'folder', url: folder, ...query, listingUrl: url.href + (query.query ?? '') }
  }
  return ggufPattern.test(file) || (takesFile && file !== '')
    ? { kind: 'folder', url: folder, ...query, file }
    : { kind: 'folder', url: endWithSlash(url).href, ...query }
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
