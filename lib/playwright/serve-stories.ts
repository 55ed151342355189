import { statSync } from 'node:fs'
import { createRequire } from 'node:module'
import { join } from 'node:path'
import type { BrowserContext } from '@playwright/test'
import { defaultHubUrl, locateRemote } from '../contract/model-source.js'
import { refuse } from '../contract/check-options.js'

/** Where the package keeps it, wherever this module is run from: the package can name itself. */
const modelsFolder = join(
  createRequire(import.meta.url).resolve('rivulet/package.json'),
  '../demo/public/models',
)

/** The model's files, by the path that they have in a folder. */
const files: Readonly<Record<string, string>> = {
  'config.json': 'stories/config.json',
  'generation_config.json': 'stories/generation_config.json',
  'tokenizer.json': 'stories/tokenizer.json',
  'tokenizer_config.json': 'stories/tokenizer_config.json',
  'onnx/model_quantized.onnx': 'stories/onnx/model_quantized.onnx',
  'stories.Q8_0.gguf': 'stories.gguf',
}

/** A page of any origin may read it, in whatever way it is isolated. */
const headers = { 'access-control-allow-origin': '*', 'cross-origin-resource-policy': 'cross-origin' }

/**
 * Has the embedded model answer for the one that a context's pages ask for. Nothing of it goes to the network, and what the
 * model has not is missing (404).
 * @param model as the page gives it to `createEngine`; without one, every model of every hub
 * @param baseURL what a relative URL is relative to
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

/** The folder's own file, or the GGUF file whatever its name is. */
function findFile(path: string): string | undefined {
  return path.toLowerCase().endsWith('.gguf')
    ? 'stories.gguf'
    : Object.hasOwn(files, path)
      ? files[path]
      : undefined
}

/** As a hub lists a folder (huggingface_hub, `list_repo_tree`). */
function listFiles() {
  return Object.entries(files).map(([path, file]) => {
    const { size } = statSync(join(modelsFolder, file))
    return { type: 'file', path, size, oid: String(size) }
  })
}

/** Which URLs are the model's. */
interface Place {
  isListing(url: URL): boolean
  /** The path in the model's folder; undefined for what is not in it. */
  findPath(url: URL): string | undefined
}

/** All models, in the layout that hubs have (huggingface_hub, `hf_hub_url`). */
const anyHub: Place = {
  isListing: ({ pathname }) => /\/api\/models\/[^/]+\/[^/]+\/tree\//.test(pathname),
  findPath: ({ pathname }) => /\/[^/]+\/[^/]+\/resolve\/[^/]+\/(.+)$/.exec(pathname)?.[1],
}

function describePlace(model: string | URL, baseURL: string | undefined): Place {
  if (/^\.{0,2}\//.test(String(model)) && baseURL === undefined) {
    refuse(
      `"${String(model)}" is relative: give the whole URL, or set "baseURL" in Playwright's configuration.`,
    )
  }
  const location = locateRemote(model, baseURL ?? defaultHubUrl, defaultHubUrl)
  const listingUrl = location.kind === 'hub' ? location.listingUrl : undefined
  return {
    isListing: ({ href }) => href === listingUrl,
    findPath({ origin, pathname, search, href }) {
      if (!href.startsWith(location.url)) return undefined
      const path = (origin + pathname).slice(location.url.length)
      // Beside a GGUF file behind a URL there is whatever else the server has.
      const isOther =
        location.kind === 'folder' && location.file !== undefined && location.file !== path + search
      return isOther ? undefined : path
    },
  }
}
