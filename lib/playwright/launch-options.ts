import { refuse, refuseUnknown } from '../contract/check-options.js'
import { chromiumArguments } from './chromium-arguments.mjs'

/** Options of `webGpuLaunchOptions`. */
export interface WebGpuOptions {
  /**
   * Where WebGPU runs. `software` is SwiftShader, which is slow but the same on every machine. `hardware` is the graphics
   * card of the machine.
   * @default 'software'
   */
  readonly gpu?: 'software' | 'hardware' | undefined
}

/** Options for `launchOptions` in Playwright's configuration, or for `chromium.launch()`. */
export interface WebGpuLaunchOptions {
  /** Selects the full browser. Playwright's default is the headless shell. */
  channel: 'chromium'
  args: string[]
}

/**
 * Returns launch options that give pages WebGPU, with or without a graphics card. With these options, Chromium sends no
 * requests of its own.
 * @throws RivuletError `invalid-option`
 */
export function webGpuLaunchOptions(options: WebGpuOptions = {}): WebGpuLaunchOptions {
  refuseUnknown('webGpuLaunchOptions()', options, ['gpu'] satisfies (keyof WebGpuOptions)[])
  const { gpu = 'software' } = options
  if (gpu !== 'software' && gpu !== 'hardware') refuse('"gpu" must be "software" or "hardware".', 'gpu')
  return { channel: 'chromium', args: chromiumArguments(gpu) }
}
