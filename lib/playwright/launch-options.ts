import { refuse, refuseUnknown } from '../contract/check-options.js'
import { chromiumArguments } from './chromium-arguments.mjs'

/** Options of `webGpuLaunchOptions`. */
export interface WebGpuOptions {
  /**
   * Where WebGPU computes: `software` is SwiftShader, which is the same on every machine, and slow; `hardware` is the
   * machine's graphics card.
   * @default 'software'
   */
  readonly gpu?: 'software' | 'hardware' | undefined
}

/** For `launchOptions` in Playwright's configuration, or for `chromium.launch()`. */
export interface WebGpuLaunchOptions {
  /** The whole browser: Playwright's default is its headless shell. */
  channel: 'chromium'
  args: string[]
}

/**
 * Launch options that give pages WebGPU, with or without a graphics card, in a Chromium that leaves the network alone.
 * @throws RivuletError `invalid-option`
 */
export function webGpuLaunchOptions(options: WebGpuOptions = {}): WebGpuLaunchOptions {
  refuseUnknown('webGpuLaunchOptions()', options, ['gpu'] satisfies (keyof WebGpuOptions)[])
  const { gpu = 'software' } = options
  if (gpu !== 'software' && gpu !== 'hardware') refuse('"gpu" must be "software" or "hardware".')
  return { channel: 'chromium', args: chromiumArguments(gpu) }
}
