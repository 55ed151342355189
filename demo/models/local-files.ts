import type { LocalFiles } from '../model-choice.js'

/** A model from the user's disk. */
export interface LocalModel {
  readonly name: string
  readonly runtime: 'onnx' | 'llama-cpp'
  readonly files: LocalFiles
  readonly sizeBytes: number
  /** Handles to open the files again on a later visit; empty if the browser provides none. */
  readonly handles: readonly FileSystemHandle[]
}

/** A file or folder from a drop, an input or a file picker. */
export type LocalPart = FileSystemHandle | File

/** Maximum folder depth that is searched for a model's files. */
const maxDepth = 2

interface FoundFile {
  readonly path: string
  readonly file: File
}

/**
 * Recognizes the model that the files contain.
 * @throws Error with a message for the user if the files are not a model
 */
export async function recognizeModel(parts: readonly LocalPart[]): Promise<LocalModel> {
  const found = (await Promise.all(parts.map((part) => listFiles(part)))).flat()
  const handles = parts.filter((part) => !(part instanceof File)) as FileSystemHandle[]
  const saved = { handles: handles.length === parts.length ? handles : [] }
  const gguf = found.filter(({ path }) => /\.gguf$/i.test(path))
  if (gguf.length > 0) {
    const files = gguf.map(({ file }) => file)
    return { ...saved, name: files[0]!.name, runtime: 'llama-cpp', files, sizeBytes: sumSizes(files) }
  }
  const hasConfig = found.some(({ path }) => /(^|\/)config\.json$/.test(path))
  const hasGraph = found.some(({ path }) => path.endsWith('.onnx'))
  if (hasConfig && hasGraph) {
    const files = found.map(({ file }) => file)
    const [folder] = handles
    const isOneFolder = parts.length === 1 && folder?.kind === 'directory'
    return {
      ...saved,
      name: folder?.name ?? (found[0]!.path.split('/')[0] || 'files'),
      runtime: 'onnx',
      // Pass the folder itself, so that the files keep their paths.
      files: isOneFolder ? (folder as FileSystemDirectoryHandle) : files,
      sizeBytes: sumSizes(files),
    }
  }
  throw new Error(
    hasGraph
      ? 'An ONNX model also needs its config.json and tokenizer.json. Choose the whole folder.'
      : 'This is not a model. Choose a GGUF file, or a folder with config.json and an .onnx file.',
  )
}

function sumSizes(files: readonly File[]): number {
  return files.reduce((sum, { size }) => sum + size, 0)
}

async function listFiles(part: LocalPart, prefix = '', depth = 0): Promise<FoundFile[]> {
  if (part instanceof File) return [{ path: part.webkitRelativePath || part.name, file: part }]
  const path = prefix + part.name
  if (part.kind === 'file') return [{ path, file: await (part as FileSystemFileHandle).getFile() }]
  if (depth > maxDepth) return []
  const found: FoundFile[] = []
  for await (const entry of (part as FileSystemDirectoryHandle).values()) {
    found.push(...(await listFiles(entry, `${path}/`, depth + 1)))
  }
  return found
}
