import { refuse, refuseUnknown } from './contract/check-options.js'
import type { Router } from './router.js'
import { openRoutedWorkers } from './routing/open-routed-workers.js'
import { readDeviceState } from './routing/device-state.js'

/** Options of `routing()`. */
export interface RoutingOptions {
  /** Where a generation starts: with the backends on the device, or with those on a server. The others are spares. */
  readonly first: 'local' | 'server'
  /**
   * Starts the next backend too if there is no token after this many milliseconds. 0 starts both at once. The backend with the
   * first token continues, and the others are cancelled. A server is then asked, and paid, for answers that nobody reads.
   * @default never: the next backend starts only if the first one fails
   */
  readonly firstTokenMs?: number | undefined
  /** With `first: 'local'`: a longer prompt, in characters of all messages, starts with a server. @default no limit */
  readonly maxLocalPromptLength?: number | undefined
  /**
   * With `first: 'local'`: starts with a server while the battery has less than this part of its charge and is not charging;
   * 0 to 1. Only Chromium reports it: elsewhere, the limit is never exceeded.
   * @default 0
   */
  readonly minBattery?: number | undefined
  /**
   * With `first: 'local'`: starts with a server on a device with less memory, in GiB. Chromium reports it in steps (0.25 to 8):
   * elsewhere, the limit is never exceeded. The backends on the device are then not loaded.
   * @default 0
   */
  readonly minMemoryGib?: number | undefined
  /**
   * With `first: 'local'`: true to start with a server, and to load no model on the device, if the user has turned on the
   * browser's data saver (`navigator.connection.saveData`).
   * @default false
   */
  readonly serverOnSaveData?: boolean | undefined
}

/**
 * Chooses a backend for each generation, in an engine with a list of them:
 *
 *     createEngine({ backend: [onnx({ model }), remote(server)], route: routing({ first: 'local', firstTokenMs: 2000 }) })
 *
 * All backends are loaded at once, and the engine is ready with the first of them. The generations then use those that are
 * loaded. A backend that fails before its first token is followed by the next one, whatever the error. `result.parts` has the
 * backends that wrote the answer, each with the reason.
 *
 * A text that must not leave the device needs an engine without a server: with `first: 'local'`, a server gets the prompts that
 * the device cannot answer.
 * @throws RivuletError `invalid-option`
 */
export function routing(options: RoutingOptions): Router {
  if (typeof options !== 'object' || options === null) refuse('routing() takes an object of options.')
  refuseUnknown('routing()', options, optionNames)
  const { first, firstTokenMs, maxLocalPromptLength, minBattery = 0, minMemoryGib = 0 } = options
  const { serverOnSaveData = false } = options
  if (first !== 'local' && first !== 'server')
    refuse(`routing({ first }) must be 'local' or 'server'.`, 'first')
  checkNumber('firstTokenMs', firstTokenMs, 0, 2 ** 31 - 1)
  checkNumber('maxLocalPromptLength', maxLocalPromptLength, 0, Infinity)
  checkNumber('minBattery', minBattery, 0, 1)
  checkNumber('minMemoryGib', minMemoryGib, 0, Infinity)
  if (typeof serverOnSaveData !== 'boolean')
    refuse('routing({ serverOnSaveData }) must be true or false.', 'serverOnSaveData')
  const unused = first === 'server' && limitNames.find((name) => options[name] !== undefined)
  if (unused) refuse(`routing({ ${unused} }) has no effect with "first: 'server'". Leave it out.`, unused)
  const limits = {
    maxLocalPromptLength: maxLocalPromptLength ?? Infinity,
    minBattery,
    minMemoryGib,
    serverOnSaveData,
  }
  return {
    async open(how, canRecover, signal) {
      const device = await readDeviceState()
      return openRoutedWorkers({ first, firstTokenMs, limits, device }, how, canRecover, signal)
    },
  }
}

const limitNames = ['maxLocalPromptLength', 'minBattery', 'minMemoryGib', 'serverOnSaveData'] as const
const optionNames: readonly string[] = [
  'first',
  'firstTokenMs',
  ...limitNames,
] satisfies (keyof RoutingOptions)[]

function checkNumber(name: string, value: number | undefined, from: number, to: number): void {
  if (value === undefined || (typeof value === 'number' && value >= from && value <= to)) return
  refuse(`routing({ ${name} }) must be a number from ${from}${to === Infinity ? '' : ` to ${to}`}.`, name)
}
