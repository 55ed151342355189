import { describe, expect, it } from 'vitest'
import { nameServingLock, readServingLock } from './routed-request.js'

describe('the lock of a page that serves', () => {
  const name = nameServingLock('https://example.com/app/', 'client-1')

  it('tells who holds it', () => {
    expect(readServingLock(name, 'https://example.com/app/')).toBe('client-1')
  })

  it('is of one registration alone', () => {
    expect(readServingLock(name, 'https://example.com/')).toBeUndefined()
    expect(readServingLock('another app’s lock', 'https://example.com/app/')).toBeUndefined()
  })
})
