import { describe, expect, expectTypeOf, it } from 'vitest'
import { refuse, refuseUnknown } from './check-options.js'
import { RivuletError, type ErrorCode, type ErrorDetails, type RivuletErrorOf } from './errors.js'

const details = { file: 'weights.bin', neededBytes: 61, availableBytes: 60 }

/** What a caller catches. */
const thrown: unknown = new RivuletError('quota-exceeded', 'The storage is full.', { details })

describe('the details of an error', () => {
  it('have the type of the code that was checked', () => {
    if (!(thrown instanceof RivuletError)) expect.fail('not a RivuletError')
    expectTypeOf(thrown).toEqualTypeOf<RivuletError>()
    expectTypeOf(thrown.code).toEqualTypeOf<ErrorCode>()
    // @ts-expect-error without a check of the code
    expect(thrown.details.neededBytes).toBe(61)
    if (thrown.code !== 'quota-exceeded') expect.fail('another code')
    expectTypeOf(thrown.details.neededBytes).toEqualTypeOf<number | undefined>()
    expectTypeOf(thrown.details.availableBytes).toEqualTypeOf<number>()
    // @ts-expect-error a field of another code
    expect(thrown.details.expected).toBeUndefined()
    expect(thrown.details).toEqual(details)
  })

  it('narrow in a switch over the codes', () => {
    const describeDetails = (error: RivuletError): string | undefined => {
      switch (error.code) {
        case 'integrity-failed':
          return error.details.got
        case 'memory-exceeded':
          return error.details.what
        case 'invalid-option':
          return error.details.option
        default:
          return undefined
      }
    }
    const damaged = { details: { file: 'a', expected: 'b', got: 'c' } }
    expect(describeDetails(new RivuletError('integrity-failed', 'Damaged.', damaged))).toBe('c')
    expect(describeDetails(new RivuletError('device-lost', 'Lost.'))).toBeUndefined()
  })

  it('must be passed where the code needs them, and only those', () => {
    expectTypeOf(new RivuletError('device-lost', 'Lost.')).toEqualTypeOf<RivuletErrorOf<'device-lost'>>()
    expectTypeOf<ErrorDetails<'device-lost'>>().toEqualTypeOf<Readonly<Record<string, never>>>()
    // @ts-expect-error no details
    expect(new RivuletError('integrity-failed', 'Damaged.').details).toEqual({})
    // @ts-expect-error the details of another code
    expect(new RivuletError('device-lost', 'Lost.', { details }).details).toBe(details)
    // @ts-expect-error no such code
    expect(new RivuletError('no-such-code', 'Wrong.').code).toBe('no-such-code')
  })
})

describe('a RivuletError', () => {
  it('is an error of one class, by that name', () => {
    const error = new RivuletError('device-lost', 'Lost.', { text: 'Once', cause: 'a crash' })
    expect(error).toBeInstanceOf(RivuletError)
    expect(error).toBeInstanceOf(Error)
    expect(RivuletError.name).toBe('RivuletError')
    expect(error).toMatchObject({ name: 'RivuletError', message: 'Lost.', text: 'Once', cause: 'a crash' })
    expect('cause' in new RivuletError('device-lost', 'Lost.')).toBe(false)
  })
})

describe('a refused option', () => {
  it('is named in the details', () => {
    expect(() => refuse('"seed" must be an integer.', 'seed')).toThrow(
      expect.objectContaining({ code: 'invalid-option', details: { option: 'seed' } }),
    )
    expect(() => refuse('The options must be an object.')).toThrow(expect.objectContaining({ details: {} }))
  })

  it('that is unknown is named, with the existing options', () => {
    expect(() => refuseUnknown('onnx()', { deivce: 'wasm' }, ['device'])).toThrow(
      expect.objectContaining({
        message: 'onnx() has no option "deivce". Its options are: device.',
        details: { option: 'deivce' },
      }),
    )
  })
})
