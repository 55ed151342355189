import type { RunModel } from './run.js'

const deviceNames = {
  webgpu: 'WebGPU',
  wasm: 'WASM',
  server: 'Server',
  browser: 'Browser',
} satisfies Record<RunModel['device'], string>

/** `WASM · CPU, 2 threads · shared with another tab` */
export function describeDevice({ device, deviceDescription }: RunModel, otherTabs = 0): string {
  const parts = [deviceNames[device], deviceDescription]
  if (otherTabs > 0) parts.push(`shared with ${otherTabs === 1 ? 'another tab' : `${otherTabs} other tabs`}`)
  return parts.join(' · ')
}
