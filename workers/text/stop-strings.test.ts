import { describe, expect, it } from 'vitest'
import { drawUniform } from '../onnx/draw-uniform.test-support.js'
import { createStopMatcher } from './stop-strings.js'

/** Pushes pieces until a stop string is found, or to the end. */
function feed(pieces: readonly string[], stops: readonly string[]) {
  const matcher = createStopMatcher(stops)
  let text = ''
  for (const piece of pieces) {
    const step = matcher.push(piece)
    text += step.text
    if (step.hasStopped) return { text, hasStopped: true, rest: matcher.flush() }
  }
  return { text: text + matcher.flush(), hasStopped: false, rest: '' }
}

/**
 * The expected result, from the whole text: the stop string that ends first, and the longest of those with the same
 * end.
 */
function cutWhole(text: string, stops: readonly string[]) {
  for (let end = 1; end <= text.length; end += 1) {
    const lengths = stops.filter((stop) => text.slice(0, end).endsWith(stop)).map((stop) => stop.length)
    if (lengths.length > 0)
      return { text: text.slice(0, end - Math.max(...lengths)), hasStopped: true, rest: '' }
  }
  return { text, hasStopped: false, rest: '' }
}

describe('a stop string', () => {
  it.each([
    ['in one piece', ['Hello END world'], 'Hello '],
    ['across pieces', ['Hello E', 'N', 'D world'], 'Hello '],
    ['at the beginning', ['END'], ''],
    ['after a prefix of itself', ['EENEND'], 'EEN'],
    ['that is incomplete', ['Hello EN', 'd E', 'N'], undefined],
  ])('%s: the text ends before it, if it is complete', (_, pieces, expected) => {
    const { text, hasStopped } = feed(pieces, ['END'])
    expect(hasStopped).toBe(expected !== undefined)
    expect(text).toBe(expected ?? pieces.join(''))
  })

  it('that starts earlier wins if two end at the same place', () => {
    expect(feed(['xabc'], ['bc', 'abc'])).toMatchObject({ text: 'x', hasStopped: true })
  })

  it('that ends first wins, however the text is split', () => {
    for (const pieces of [['abcd'], ['ab', 'cd'], ['a', 'b', 'c', 'd']]) {
      expect(feed(pieces, ['abcd', 'c'])).toMatchObject({ text: 'ab', hasStopped: true })
    }
  })

  it('holds back only text that could be part of it', () => {
    const matcher = createStopMatcher(['END', '\n\n'])
    expect(matcher.push('one E')).toEqual({ text: 'one ', hasStopped: false })
    expect(matcher.push('F')).toEqual({ text: 'EF', hasStopped: false })
    expect(matcher.push('\n')).toEqual({ text: '', hasStopped: false })
    expect(matcher.push('E')).toEqual({ text: '\n', hasStopped: false })
    expect(matcher.push('N')).toEqual({ text: '', hasStopped: false })
    expect(matcher.flush()).toBe('EN')
    expect(matcher.flush()).toBe('')
  })
})

it('without stop strings, no text is held back', () => {
  expect(createStopMatcher([]).push('Hello')).toEqual({ text: 'Hello', hasStopped: false })
})

it('pieces and the whole text have the same result, for random texts, pieces and stop strings', () => {
  let stopped = 0
  for (let seed = 0; seed < 3000; seed += 1) {
    let position = 0
    const draw = (limit: number) => Math.floor(drawUniform(seed, position++) * limit)
    // Only two letters, so that stop strings overlap themselves and each other.
    const drawText = (length: number) => Array.from({ length }, () => 'ab'[draw(2)]).join('')
    const stops = Array.from({ length: draw(4) }, () => drawText(1 + draw(6)))
    const pieces = Array.from({ length: draw(12) }, () => drawText(draw(5)))
    const expected = cutWhole(pieces.join(''), stops)
    stopped += expected.hasStopped ? 1 : 0
    expect(feed(pieces, stops), JSON.stringify({ seed, stops, pieces })).toEqual(expected)
  }
  // Both outcomes occurred often.
  expect(stopped).toBeGreaterThan(500)
  expect(stopped).toBeLessThan(2500)
})

describe('a stop string with a control token', () => {
  /** Pushes pieces; those in angle brackets are control tokens. */
  function feedTokens(pieces: readonly string[], stops: readonly string[]) {
    const matcher = createStopMatcher(stops)
    let text = ''
    for (const piece of pieces) {
      const step = piece.startsWith('<') ? matcher.pushControl(piece) : matcher.push(piece)
      text += step.text
      if (step.hasStopped) return { text, hasStopped: true }
    }
    return { text: text + matcher.flush(), hasStopped: false }
  }

  it.each([
    ['the token alone', ['a', '<end>', 'b'], ['<end>'], 'a', true],
    ['text after it', ['a', '<end>', 'us', 'er', 'b'], ['<end>user'], 'a', true],
    ['text before it', ['a', 'b', '<end>'], ['b<end>'], 'a', true],
    ['other text after it', ['a', '<end>', 'b'], ['<end>user'], 'ab', false],
    ['two tokens', ['a', '<end>', '<x>', 'b'], ['<end><x>'], 'a', true],
    ['its text, spelled by ordinary tokens', ['a', 'b<', 'end>c'], ['<end>'], 'ab', true],
  ])('matches %s', (_, pieces, stops, text, hasStopped) => {
    expect(feedTokens(pieces, stops)).toEqual({ text, hasStopped })
  })

  it('matches only whole tokens', () => {
    expect(feedTokens(['a', '<end>', 'b'], ['<', '>', 'end', 'd>b'])).toEqual({
      text: 'ab',
      hasStopped: false,
    })
  })

  it('does not change how other stop strings match across the token', () => {
    expect(feedTokens(['xa', '<end>', 'bc'], ['ab', '<end>!'])).toEqual({ text: 'x', hasStopped: true })
  })
})
