import { describe, expect, it } from 'vitest'
import { measureCoherence } from './coherence.js'

const story = (...sentences: readonly string[]) => [sentences.join(' ')]

describe('measureCoherence', () => {
  it('accepts a subject that the story has introduced', () => {
    const sentences = story('Once there was a dog named Tom.', 'Tom saw a red ball.', 'The red ball was big.')
    expect(measureCoherence(sentences)).toBe(1)
  })

  it('rejects a name and a noun that come from nowhere', () => {
    const sentences = story(
      'Once there was a dog.',
      'The dog ran home.',
      'Max gave it a hug.',
      'The rabbit was happy.',
    )
    expect(measureCoherence(sentences)).toBeCloseTo(1 / 3)
  })

  it('rejects a subject that meets itself', () => {
    expect(measureCoherence(story('There was a robot.', 'The robot and the robot played.'))).toBe(0)
    expect(measureCoherence(story('There was a cat, Tom.', 'Then Tom wanted to help Tom.'))).toBe(0)
    expect(measureCoherence(story('There was a dog.', 'The dog saw another dog.'))).toBe(1)
  })

  it('leaves out speech, pronouns and what is always there', () => {
    const sentences = story(
      'There was a cat.',
      'It ran.',
      '"The king is here," it said.',
      'The sun was warm.',
      'The cat was happy.',
    )
    expect(measureCoherence(sentences)).toBe(1)
    expect(measureCoherence(story('There was a cat.', 'It ran.', 'The sun was warm.'))).toBeNaN()
  })
})
