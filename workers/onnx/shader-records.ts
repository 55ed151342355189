import { version } from '../../lib/contract/version.js'
import { getFile, removeEntry, toHex } from '../../lib/contract/store-layout.js'
import type { PipelineRecipe } from './pipeline-pool.js'

// Remembers the shaders that a model uses on a device, in the origin private file system, so that the next load compiles them
// while it reads the model's files:
//
//   rivulet-shaders/<key>   a JSON text with the recipes of the pipelines, in the order of their first use
//
// The key is a hash of the model's address, its options, the device and the versions. A recipe that is not used any more costs
// only its compilation.

const folderName = 'rivulet-shaders'

/** When the folder has this many records, they are removed. A record has about 200 KB. */
const maxRecords = 40

/** A model uses about 30 pipelines; with all options of the sampler, and long prompts, about 50. */
const maxRecipes = 80

/** @param parts what the shaders depend on */
export async function nameShaders(parts: readonly unknown[]): Promise<string | undefined> {
  // An insecure page has neither hashes nor a private file system, nor WebGPU.
  if (!isSecureContext) return undefined
  const text = new TextEncoder().encode(JSON.stringify([version, ...parts, navigator.userAgent]))
  return toHex(await crypto.subtle.digest('SHA-256', text)).slice(0, 32)
}

/** @returns the shaders of earlier loads; none if there was none, or no private file system */
export async function readShaders(key: string): Promise<readonly PipelineRecipe[]> {
  try {
    return JSON.parse(await (await getFile(await openFolder(), key))!.text()) as PipelineRecipe[]
  } catch {
    return []
  }
}

/** Joins the shaders of this load, in their order, with those of earlier loads. */
export function joinShaders(
  used: readonly PipelineRecipe[],
  earlier: readonly PipelineRecipe[],
): readonly PipelineRecipe[] {
  const recipes = new Map([...used, ...earlier].map((recipe) => [JSON.stringify(recipe), recipe]))
  return [...recipes.values()].slice(0, maxRecipes)
}

/** Remembers shaders, if there is a private file system. */
export async function writeShaders(key: string, recipes: readonly PipelineRecipe[]): Promise<void> {
  try {
    const folder = await openFolder()
    const names: string[] = []
    for await (const [name] of folder) names.push(name)
    if (names.length >= maxRecords) await Promise.all(names.map((name) => removeEntry(folder, name)))
    const file = await folder.getFileHandle(key, { create: true })
    const access = await file.createSyncAccessHandle()
    try {
      access.truncate(0)
      access.write(new TextEncoder().encode(JSON.stringify(recipes)))
    } finally {
      access.close()
    }
  } catch {
    // Without a record, the next load compiles each shader when it is needed.
  }
}

async function openFolder(): Promise<FileSystemDirectoryHandle> {
  return (await navigator.storage.getDirectory()).getDirectoryHandle(folderName, { create: true })
}
