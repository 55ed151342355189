import type { OwnFiles } from '../model-choice.js'

/** A model from the visitor's disk. */
export interface OwnModel {
  readonly name: string
  readonly runtime: 'onnx' | 'llama-cpp'
  readonly files: OwnFiles
  readonly sizeBytes: number
  /** Where the browser gave any: with them the files can be opened again on another visit. */
  readonly handles: readonly FileSystemHandle[]
}

/** A file or folder, as a drop, an input or a picker brings it. */
export type OwnPart = FileSystemHandle | File

/** How deep a model's files lie. */
const maxDepth = 2

interface FoundFile {
  readonly path: string
  readonly file: File
}

/**
 * Tells what the files are.
 * @throws Error with a sentence for the visitor, where they are no model
 */
export async function recognizeModel(parts: readonly OwnPart[]): Promise<OwnModel> {
  const found = (await Promise.all(parts.map((part) => listFiles(part)))).flat()
  const handles = parts.filter((part) => !(part instanceof File)) as FileSystemHandle[]
  const kept = { handles: handles.length === parts.length ? handles : [] }
  const gguf = found.filter(({ path }) => /\.gguf$/i.test(path))
  if (gguf.length > 0) {
    const files = gguf.map(({ file }) => file)
    return { ...kept, name: files[0]!.name, runtime: 'llama-cpp', files, sizeBytes: sumSizes(files) }
  }
  const hasConfig = found.some(({ path }) => /(^|\/)config\.json$/.test(path))
  const hasGraph = found.some(({ path }) => path.endsWith('.onnx'))
  if (hasConfig && hasGraph) {
    const files = found.map(({ file }) => file)
    const [folder] = handles
    const isOneFolder = parts.length === 1 && folder?.kind === 'directory'
    return {
      ...kept,
      name: folder?.name ?? (found[0]!.path.split('/')[0] || 'files'),
      runtime: 'onnx',
      // The folder itself, so that the files keep their paths.
      files: isOneFolder ? (folder as FileSystemDirectoryHandle) : files,
      sizeBytes: sumSizes(files),
    }
  }
  throw new Error(
    hasGraph
      ? 'An ONNX model also needs its config.json and tokenizer.json: choose the whole folder.'
      : 'That is no model: choose a GGUF file, or a folder with config.json and an .onnx file.',
  )
}

function sumSizes(files: readonly File[]): number {
  return files.reduce((sum, { size }) => sum + size, 0)
}

async function listFiles(part: OwnPart, prefix = '', depth = 0): Promise<FoundFile[]> {
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
