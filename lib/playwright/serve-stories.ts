import { statSync } from 'node:fs'
import { createRequire } from 'node:module'
import { join } from 'node:path'
import type { BrowserContext } from '@playwright/test'
import { defaultHubUrl, locateRemote } from '../locate-model.js'
import { refuse } from '../contract/check-options.js'

/** The folder of models in this package. It is found by the package's own name, so this works wherever the module runs. */
const modelsFolder = join(
  createRequire(import.meta.url).resolve('rivulet/package.json'),
  '../demo/public/models',
)

/** Maps a path in a model folder to the embedded model's file in `modelsFolder`. */
const files: Readonly<Record<string, string>> = {
  'config.json': 'stories/config.json',
  'generation_config.json': 'stories/generation_config.json',
  'tokenizer.json': 'stories/tokenizer.json',
  'tokenizer_config.json': 'stories/tokenizer_config.json',
  'onnx/model_quantized.onnx': 'stories/onnx/model_quantized.onnx',
  'stories.Q8_0.gguf': 'stories.gguf',
}

/** Headers that let a page of any origin read the files, even a cross-origin isolated page. */
const headers = { 'access-control-allow-origin': '*', 'cross-origin-resource-policy': 'cross-origin' }

/**
 * Serves the embedded model in place of the model that a context's pages request. None of these requests goes to the
 * network. A file that the embedded model does not have is answered with 404.
 * @param model the model that the page passes to `createEngine`; if undefined, every model of every hub is replaced
 * @param baseURL the base URL for a relative `model`
 * @throws RivuletError `invalid-option`
 */
export async function serveStories(
  context: BrowserContext,
  model: string | URL | undefined,
  baseURL: string | undefined,
): Promise<void> {
  const place = model === undefined ? anyHub : describePlace(model, baseURL)
  await context.route(
    (url) => place.isListing(url) || place.findPath(url) !== undefined,
    (route) => {
      const url = new URL(route.request().url())
      if (place.isListing(url)) return route.fulfill({ json: listFiles(), headers })
      const file = findFile(place.findPath(url) ?? '')
      if (file === undefined)
        return route.fulfill({ status: 404, headers, body: 'The embedded model has no such file.' })
      return route.fulfill({ path: join(modelsFolder, file), headers })
    },
  )
}

/** Finds the embedded file for a path in a model folder. Every `.gguf` path gets the GGUF file. */
function findFile(path: string): string | undefined {
  return path.toLowerCase().endsWith('.gguf')
    ? 'stories.gguf'
    : Object.hasOwn(files, path)
      ? files[path]
      : undefined
}

/** Lists the files in the format of a hub (huggingface_hub, `list_repo_tree`). */
function listFiles() {
  return Object.entries(files).map(([path, file]) => {
    const { size } = statSync(join(modelsFolder, file))
    return { type: 'file', path, size, oid: String(size) }
  })
}

/** Recognizes the URLs of a model. */
interface Place {
  isListing(url: URL): boolean
  /** Returns the path in the model's folder; undefined for a URL outside this folder. */
  findPath(url: URL): string | undefined
}

/** Recognizes the URLs of all models, in the URL layout of hubs (huggingface_hub, `hf_hub_url`). */
const anyHub: Place = {
  isListing: ({ pathname }) => /\/api\/models\/[^/]+\/[^/]+\/tree\//.test(pathname),
  findPath: ({ pathname }) => /\/[^/]+\/[^/]+\/resolve\/[^/]+\/(.+)$/.exec(pathname)?.[1],
}

function describePlace(model: string | URL, baseURL: string | undefined): Place {
  if (/^\.{0,2}\//.test(String(model)) && baseURL === undefined) {
    refuse(
      `"${String(model)}" is a relative URL. Pass the whole URL, or set "baseURL" in Playwright's configuration.`,
      'model',
    )
  }
  const location = locateRemote(model, baseURL ?? defaultHubUrl, defaultHubUrl)
  return {
    isListing: ({ href }) => href === location.listingUrl,
    findPath({ origin, pathname, href }) {
      if (!href.startsWith(location.url)) return undefined
      const path = (origin + pathname).slice(location.url.length)
      // If `model` is the URL of a GGUF file, the other files in its folder still come from the server.
      const isOther = location.kind === 'folder' && location.file !== undefined && location.file !== path
      return isOther ? undefined : path
    },
  }
}
