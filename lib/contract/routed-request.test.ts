import { describe, expect, it } from 'vitest'
import { nameServingLock, readServingLock } from './routed-request.js'

describe('the lock of a serving page', () => {
  const name = nameServingLock('https://example.com/app/', 'client-1')

  it('contains the client id of the page', () => {
    expect(readServingLock(name, 'https://example.com/app/')).toBe('client-1')
  })

  it('belongs to one registration', () => {
    expect(readServingLock(name, 'https://example.com/')).toBeUndefined()
    expect(readServingLock('another app’s lock', 'https://example.com/app/')).toBeUndefined()
  })
})
