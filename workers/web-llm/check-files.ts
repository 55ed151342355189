import { RivuletError, describeError } from '../../lib/contract/errors.js'
import type { WebLlmModelRecord } from '../../lib/contract/web-llm-options.js'

/** What is read of `mlc-chat-config.json`. */
export interface MlcConfig {
  readonly context_window_size?: number
}

/**
 * Asks for the two files without which nothing loads: web-llm itself looks at no status, and takes a page that says 404
 * for the file (0.2.86).
 * @throws RivuletError `model-not-found`, `download-failed`, `model-invalid`; the reason of `signal`
 */
export async function checkFiles(record: WebLlmModelRecord, signal: AbortSignal): Promise<MlcConfig> {
  const library = await request(record.model_lib, 'HEAD', signal)
  // A server that answers no HEAD says nothing about the file.
  if (library.status !== 405 && library.status !== 501) checkStatus(library, record.model_lib)
  const configUrl = new URL('mlc-chat-config.json', findFolder(record.model)).href
  const config = checkStatus(await request(configUrl, 'GET', signal), configUrl)
  try {
    return (await config.json()) as MlcConfig
  } catch (error) {
    throw new RivuletError('model-invalid', `${configUrl} is not JSON: ${describeError(error)}`, {
      cause: error,
    })
  }
}

/** As web-llm understands `ModelRecord.model`: without a revision, the main one is meant. */
export function findFolder(model: string): string {
  const folder = model.endsWith('/') ? model : `${model}/`
  return /.+\/resolve\/.+\//.test(folder) ? folder : `${folder}resolve/main/`
}

async function request(url: string, method: 'HEAD' | 'GET', signal: AbortSignal): Promise<Response> {
  try {
    return await fetch(url, { method, signal })
  } catch (error) {
    signal.throwIfAborted()
    throw new RivuletError('download-failed', `${url} could not be fetched: ${describeError(error)}`, {
      cause: error,
    })
  }
}

function checkStatus(response: Response, url: string): Response {
  // An app's server may answer with the app's page for what it has not.
  const isPage = response.headers.get('content-type')?.startsWith('text/html')
  if (response.status === 404 || (response.ok && isPage)) {
    throw new RivuletError('model-not-found', `There is no ${url}.`)
  }
  if (response.ok) return response
  throw new RivuletError('download-failed', `${url} answered ${response.status} ${response.statusText}.`)
}
