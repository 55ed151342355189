import { describe, expect, it } from 'vitest'
import {
  measureKnownWords,
  measureNamedTwice,
  measureRepeatedTrigrams,
  namesSubjects,
  splitWords,
} from './measures.js'
import { storyRequests } from './requests.js'

describe('a story names its subject', () => {
  it('in the singular, the plural or the genitive, whatever the case', () => {
    expect(namesSubjects('Dragons are big.', ['dragon'])).toBe(true)
    expect(namesSubjects("It was the dragon's egg.", ['dragon'])).toBe(true)
    expect(namesSubjects('Two mice and a PUPPY.', ['mouse', 'puppy'])).toBe(true)
    expect(namesSubjects('There were puppies and foxes.', ['puppy', 'fox'])).toBe(true)
    expect(namesSubjects('Zoe ran.', ['Zoe'])).toBe(true)
  })

  it('not as part of another word', () => {
    expect(namesSubjects('A dragonfly sat on the caterpillar.', ['dragon'])).toBe(false)
    expect(namesSubjects('A dragonfly sat on the caterpillar.', ['cat'])).toBe(false)
  })

  it('only when it names all of them', () => {
    expect(namesSubjects('A cat ran.', ['cat', 'dog'])).toBe(false)
  })
})

it('a word has its apostrophe and no punctuation', () => {
  expect(splitWords(`"Don't!" said Tom's mom.`)).toEqual(["don't", 'said', "tom's", 'mom'])
})

it('known words are counted by occurrence', () => {
  expect(measureKnownWords(['a cat', 'a zlorp'], new Set(['a', 'cat']))).toBe(0.75)
})

describe('repeated trigrams', () => {
  it('are counted within each text', () => {
    expect(measureRepeatedTrigrams(['a b c a b c'])).toBe(0.25)
    expect(measureRepeatedTrigrams(['a b c d', 'a b c d'])).toBe(0)
  })

  it('are none in texts that are too short for one', () => {
    expect(measureRepeatedTrigrams(['a b', ''])).toBe(0)
  })
})

it('sentences that name their subject twice are counted by sentence', () => {
  const text = 'The robot met the robot. The robots and a robot ran! A cat saw a cat. "Hello, robot."'
  expect(measureNamedTwice([{ text, subjects: ['robot'] }])).toBe(0.5)
  expect(measureNamedTwice([{ text, subjects: ['cat', 'robot'] }])).toBe(0.75)
})

it('there are 100 different requests', () => {
  expect(new Set(storyRequests.map(({ text, after = '' }) => `${after} ${text}`)).size).toBe(100)
})
