import { describe, expect, it } from 'vitest'
import { checkDownloadOptions } from './download-options.js'

const hash = 'AB'.repeat(32)

describe('download options', () => {
  it('are all optional', () => {
    expect(checkDownloadOptions({})).toEqual({
      headers: {},
      sha256: {},
      revalidate: true,
      idleTimeoutMs: 30_000,
    })
  })

  it('are normalized for the worker', () => {
    const options = {
      hubUrl: new URL('https://mirror.example/'),
      headers: { Authorization: 'Bearer secret' },
      sha256: { 'onnx/model.onnx': hash },
      revalidate: false,
      persist: false,
      idleTimeoutMs: 5,
    }
    expect(checkDownloadOptions(options)).toEqual({
      headers: { authorization: 'Bearer secret' },
      sha256: { 'onnx/model.onnx': hash.toLowerCase() },
      revalidate: false,
      idleTimeoutMs: 5,
    })
  })

  it.each([
    ['hubURL', { hubURL: 'https://mirror.example/' }],
    ['hubUrl', { hubUrl: 'mirror' }],
    ['headers', { headers: 'secret' }],
    ['headers', { headers: { 'not a name': 'secret' } }],
    ['sha256', { sha256: { a: 'secret' } }],
    ['sha256', { sha256: [1] }],
    ['revalidate', { revalidate: 'yes' }],
    ['persist', { persist: 1 }],
    ['idleTimeoutMs', { idleTimeoutMs: 0 }],
    ['idleTimeoutMs', { idleTimeoutMs: Infinity }],
    ['download', null],
  ])('are refused by name if invalid: %s in %j', (name, options) => {
    expect(() => checkDownloadOptions(options as never)).toThrow(
      expect.objectContaining({ code: 'invalid-option', message: expect.stringContaining(`"${name}"`) }),
    )
    // Values may be secrets, so they are not quoted.
    expect(() => checkDownloadOptions(options as never)).not.toThrow(/secret/)
  })
})
