import { describe, expect, it } from 'vitest'
import {
  measureKnownWords,
  measureNamedTwice,
  measureRepeatedTrigrams,
  namesSubjects,
  splitWords,
} from './measures.js'
import { storyRequests } from './requests.js'

describe('namesSubjects', () => {
  it('accepts singular, plural and genitive in any letter case', () => {
    expect(namesSubjects('Dragons are big.', ['dragon'])).toBe(true)
    expect(namesSubjects("It was the dragon's egg.", ['dragon'])).toBe(true)
    expect(namesSubjects('Two mice and a PUPPY.', ['mouse', 'puppy'])).toBe(true)
    expect(namesSubjects('There were puppies and foxes.', ['puppy', 'fox'])).toBe(true)
    expect(namesSubjects('Zoe ran.', ['Zoe'])).toBe(true)
  })

  it('ignores a subject inside another word', () => {
    expect(namesSubjects('A dragonfly sat on the caterpillar.', ['dragon'])).toBe(false)
    expect(namesSubjects('A dragonfly sat on the caterpillar.', ['cat'])).toBe(false)
  })

  it('requires all subjects', () => {
    expect(namesSubjects('A cat ran.', ['cat', 'dog'])).toBe(false)
  })
})

it('splits words with apostrophes but without punctuation', () => {
  expect(splitWords(`"Don't!" said Tom's mom.`)).toEqual(["don't", 'said', "tom's", 'mom'])
})

it('counts each occurrence of a known word', () => {
  expect(measureKnownWords(['a cat', 'a zlorp'], new Set(['a', 'cat']))).toBe(0.75)
})

describe('repeated trigrams', () => {
  it('are counted separately for each text', () => {
    expect(measureRepeatedTrigrams(['a b c a b c'])).toBe(0.25)
    expect(measureRepeatedTrigrams(['a b c d', 'a b c d'])).toBe(0)
  })

  it('are 0 for texts that are too short for a trigram', () => {
    expect(measureRepeatedTrigrams(['a b', ''])).toBe(0)
  })
})

it('measures the share of sentences that name a subject twice', () => {
  const text = 'The robot met the robot. The robots and a robot ran! A cat saw a cat. "Hello, robot."'
  expect(measureNamedTwice([{ text, subjects: ['robot'] }])).toBe(0.5)
  expect(measureNamedTwice([{ text, subjects: ['cat', 'robot'] }])).toBe(0.75)
})

it('uses 100 different requests', () => {
  expect(new Set(storyRequests.map(({ text, after = '' }) => `${after} ${text}`)).size).toBe(100)
})
