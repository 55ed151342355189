import { describe, expect, test } from 'vitest'
import { webGpuLaunchOptions } from './launch-options.js'

describe('webGpuLaunchOptions()', () => {
  test('uses SwiftShader, or the graphics card if that is requested', () => {
    expect(webGpuLaunchOptions()).toEqual(webGpuLaunchOptions({ gpu: 'software' }))
    expect(webGpuLaunchOptions().args).toContain('--use-webgpu-adapter=swiftshader')
    expect(webGpuLaunchOptions({ gpu: 'hardware' }).args).not.toContain('--use-webgpu-adapter=swiftshader')
  })

  test('refuses unknown options and values by name', () => {
    const launch = (options: object) => () => webGpuLaunchOptions(options)
    expect(launch({ gpus: 'hardware' })).toThrow(expect.objectContaining({ code: 'invalid-option' }))
    expect(launch({ gpus: 'hardware' })).toThrow(/"gpus"/)
    expect(launch({ gpu: 'cloud' })).toThrow(/"gpu" must be/)
  })
})
