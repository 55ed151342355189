import type { BackendFactory } from 'rivulet'
import { createBackends, type ModelChoice } from '../model-choice.js'
import type { Settings } from './settings.js'

/**
 * Returns the backends to try for a model, in the order of the settings. With the backend `auto`, they include the server
 * of the settings.
 * @throws RivuletError `invalid-option`
 */
export async function chooseBackends(
  choice: ModelChoice,
  { contextLength, backendOrder, server, serverModel }: Settings,
): Promise<readonly BackendFactory[]> {
  const backends = [...(await createBackends(choice, { contextLength }))]
  if (server !== undefined && serverModel !== undefined && choice.backend === 'auto') {
    const { remote } = await import('rivulet/remote')
    backends.push(remote({ baseURL: server, model: serverModel }))
  }
  return sortByOrder(backends, backendOrder)
}

function sortByOrder<Named extends { readonly name: string }>(
  backends: readonly Named[],
  order: readonly string[],
): readonly Named[] {
  return backends.toSorted((a, b) => order.indexOf(a.name) - order.indexOf(b.name))
}
