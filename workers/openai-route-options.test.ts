import { describe, expect, it } from 'vitest'
import { readRouteScope } from './openai-route-options.js'

describe('the options of openaiRoute()', () => {
  it('are all optional', () => {
    expect(readRouteScope({})).toBe('/v1/')
    expect(readRouteScope({ scope: '/models/here/' })).toBe('/models/here/')
  })

  it('are refused by their name', () => {
    expect(() => readRouteScope({ path: '/v1/' } as never)).toThrow('openaiRoute() has no option "path"')
    for (const scope of ['', 'v1/', '/v1', 'https://example.com/v1/', 1, null]) {
      expect(() => readRouteScope({ scope } as never)).toThrow('"scope" must be a path')
    }
  })
})
