import { RivuletError } from '../../lib/contract/errors.js'
import { ggufPattern } from '../../lib/contract/gguf-name.js'
import type { ModelLocation } from '../../lib/contract/model-location.js'
import { isGguf } from '../gguf-magic.js'

/** Refuses a GGUF file. @throws RivuletError `invalid-option` */
export async function refuseGguf(location: Exclude<ModelLocation, { kind: 'none' }>): Promise<void> {
  const name = location.kind === 'local' ? await findGguf(location.files) : location.file
  if (name === undefined) return
  throw new RivuletError(
    'invalid-option',
    `"${name}" is a GGUF file. Use llamaCpp() for it: onnx() runs ONNX folders.`,
  )
}

async function findGguf(files: ReadonlyMap<string, File>): Promise<string | undefined> {
  if (files.has('config.json')) return undefined
  for (const [path, file] of files) if (ggufPattern.test(path) || (await isGguf(file))) return path
  return undefined
}
