// Runs in Node, without dependencies and without TypeScript: this repository's scripts use it before installing and building.

/**
 * Returns command-line arguments that give Chromium's pages WebGPU, on SwiftShader or on a graphics card.
 * The other arguments keep Chromium from contacting its vendor, and let it start as root.
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
