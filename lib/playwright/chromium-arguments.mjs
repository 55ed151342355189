// Node, without dependencies and without TypeScript: this repository's scripts need it before anything is installed or built.

/**
 * What Chromium is started with, so that its pages have WebGPU: on SwiftShader, or on a graphics card.
 * Without the rest Chromium as root does not start, and keeps calling home.
 * @param {'software' | 'hardware'} gpu
 * @returns {string[]}
 */
export function chromiumArguments(gpu) {
  const adapter = gpu === 'hardware' ? '--enable-features=Vulkan' : '--use-webgpu-adapter=swiftshader'
  const quiet = [
    '--disable-quic',
    '--no-first-run',
    '--disable-background-networking',
    '--disable-component-update',
    '--disable-sync',
  ]
  const sandbox = process.getuid?.() === 0 ? ['--no-sandbox'] : []
  return ['--enable-unsafe-webgpu', adapter, ...quiet, ...sandbox]
}
