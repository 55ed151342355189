import { connectWorker } from '../connect-worker.js'
import { RivuletError } from '../contract/errors.js'
import type { DownloadRequest } from '../contract/download-request.js'
import type { ModelLocation } from '../contract/model-location.js'
import { version } from '../contract/version.js'
import type { BackendFactory } from '../backend-factory.js'
import type { Candidate } from '../start-worker.js'

/**
 * Returns a name that is the same for two engines exactly if they can share a worker: the same version of this library, the
 * same scripts of the workers, and the same models, backends, options and downloads. It is a hash: options can contain keys.
 */
export async function nameSharedModel(
  candidates: readonly Candidate[],
  download: DownloadRequest,
): Promise<string> {
  const parts = candidates.map(async ({ backend, model }) => [
    backend.name,
    backend.options,
    identify(model),
    await readScriptUrl(backend.createWorker),
  ])
  const text = JSON.stringify([version, await Promise.all(parts), download], writeNumber)
  const hash = await crypto.subtle.digest('SHA-256', new TextEncoder().encode(text))
  return [...new Uint8Array(hash)].map((byte) => byte.toString(16).padStart(2, '0')).join('')
}

/** JSON has no infinite numbers. */
function writeNumber(_: string, value: unknown): unknown {
  return typeof value === 'number' && !Number.isFinite(value) ? String(value) : value
}

/** Returns what identifies a model: not the query of its URL, such as a signature. */
function identify(model: ModelLocation): unknown {
  return 'query' in model ? { ...model, query: undefined } : model
}

const scriptUrls = new WeakMap<BackendFactory['createWorker'], Promise<string>>()

/**
 * Returns the URL of a worker's script, which only the worker knows: it is started for the question. A new deployment has
 * another one. Returns an empty URL for a script that does not run; its load then fails with the reason.
 */
function readScriptUrl(createWorker: BackendFactory['createWorker']): Promise<string> {
  const known = scriptUrls.get(createWorker) ?? askScriptUrl(createWorker)
  scriptUrls.set(createWorker, known)
  return known
}

async function askScriptUrl(createWorker: BackendFactory['createWorker']): Promise<string> {
  const { call, terminate } = connectWorker(createWorker())
  try {
    return (await call((worker) => worker.readStatus())).scriptUrl
  } catch {
    return ''
  } finally {
    terminate(new RivuletError('engine-disposed', 'The worker was started only for its URL.'))
  }
}
