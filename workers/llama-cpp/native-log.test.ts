import { describe, expect, it } from 'vitest'
import { readNativeLog } from './native-log.js'

describe('the log of llama.cpp', () => {
  it('shows where the weights are, and their type', () => {
    const log = readNativeLog(() => {})
    log.logger.debug('print_info: file type   = Q4_K - Medium')
    log.logger.debug('load_tensors:          CPU model buffer size =     2.80 MiB')
    log.logger.debug('load_tensors:       WebGPU model buffer size =     0.00 MiB')
    expect(log).toMatchObject({ fileType: 'Q4_K - Medium', usesGpu: false })
    log.logger.debug('load_tensors:       WebGPU model buffer size =    80.50 MiB')
    expect(log.usesGpu).toBe(true)
  })

  it('keeps the first error message, from which the others follow', () => {
    const log = readNativeLog(() => {})
    log.logger.error('Stack trace (exception): …')
    log.logger.error("error loading model: unknown model architecture: 'x'")
    log.logger.error('failed to load model')
    expect(log.firstError).toContain('unknown model architecture')
    log.clearErrors()
    log.logger.error('another')
    expect(log.firstError).toBe('another')
  })

  it('shows a worker that died, could not be started, or has no WebAssembly', () => {
    const seen: string[] = []
    const log = readNativeLog((words) => seen.push(words))
    log.logger.error(new Event('error'))
    log.logger.error(Object.assign(new Event('error'), { message: 'out of memory' }))
    log.logger.log('failed to asynchronously prepare wasm: both async and sync fetching of the wasm failed')
    log.logger.log('Aborted(CompileError: WebAssembly.instantiate(): …)')
    expect(seen).toEqual([
      expect.stringContaining('worker-src blob:'),
      'out of memory',
      expect.stringMatching(/^failed to asynchronously prepare wasm/),
      expect.stringMatching(/^Aborted/),
    ])
  })
  it.each([
    ['Chromium', 'wasm streaming compile failed: TypeError: Failed to fetch', true],
    ['WebKit', 'wasm streaming compile failed: TypeError: Load failed', true],
    [
      'Firefox',
      'wasm streaming compile failed: TypeError: NetworkError when attempting to fetch resource.',
      true,
    ],
    [
      'a 404',
      "wasm streaming compile failed: TypeError: Failed to execute 'compile' on 'WebAssembly'",
      false,
    ],
  ])('shows a WebAssembly file that could not be downloaded (%s)', (_, line, isUnreachable) => {
    const log = readNativeLog(() => {})
    log.logger.log(line)
    expect(log.isWasmUnreachable).toBe(isUnreachable)
  })
})
