import type { RunModel } from './run.js'

const deviceNames = {
  webgpu: 'WebGPU',
  wasm: 'WASM',
  server: 'Server',
  browser: 'Browser',
} satisfies Record<RunModel['device'], string>

/** `WASM · CPU, 2 threads` */
export function describeDevice({ device, deviceDescription }: RunModel): string {
  return `${deviceNames[device]} · ${deviceDescription}`
}
