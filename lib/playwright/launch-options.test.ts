import { describe, expect, test } from 'vitest'
import { webGpuLaunchOptions } from './launch-options.js'

describe('launch options', () => {
  test('take SwiftShader, or a graphics card where that is asked for', () => {
    expect(webGpuLaunchOptions()).toEqual(webGpuLaunchOptions({ gpu: 'software' }))
    expect(webGpuLaunchOptions().args).toContain('--use-webgpu-adapter=swiftshader')
    expect(webGpuLaunchOptions({ gpu: 'hardware' }).args).not.toContain('--use-webgpu-adapter=swiftshader')
  })

  test('refuse what they do not know, by name', () => {
    const named = (options: object) => () => webGpuLaunchOptions(options)
    expect(named({ gpus: 'hardware' })).toThrow(expect.objectContaining({ code: 'invalid-option' }))
    expect(named({ gpus: 'hardware' })).toThrow(/"gpus"/)
    expect(named({ gpu: 'cloud' })).toThrow(/"gpu" must be/)
  })
})
