import { expect, it } from 'vitest'
import { countCommonPrefix, createConversations } from './conversations.js'

function createStore(budgetBytes: number) {
  const freed: string[] = []
  const store = createConversations<string>(budgetBytes, (cache) => freed.push(cache))
  const park = (cache: string, ids: number[], sizeBytes = 10) => store.park({ cache, ids, sizeBytes })
  return { freed, store, park }
}

it('returns the conversation with the longest common prefix, once', () => {
  const { store, park } = createStore(100)
  park('short', [1, 2, 9])
  park('long', [1, 2, 3, 9])
  park('other', [7, 8])
  expect(store.take([1, 2, 3, 4], 0)?.cache).toBe('long')
  expect(store.take([1, 2, 3, 4], 0)?.cache).toBe('short')
  expect(store.take([1, 2, 3, 4], 0)).toBeUndefined()
})

it('returns no conversation that shares only what the cache already has', () => {
  const { store, park } = createStore(100)
  park('known', [1, 2, 3])
  expect(store.take([1, 2, 3, 4], 3)).toBeUndefined()
  expect(store.take([1, 2, 3, 4], 2)?.cache).toBe('known')
})

it('returns no conversation that cannot be truncated to the common prefix', () => {
  const store = createConversations<string>(
    100,
    () => {},
    ({ cache, ids }, target) => (cache === 'whole only' && ids.length > target.length ? 0 : ids.length),
  )
  store.park({ cache: 'whole only', ids: [1, 2, 3, 4], sizeBytes: 10 })
  store.park({ cache: 'short', ids: [1, 2], sizeBytes: 10 })
  expect(store.take([1, 2, 3], 0)?.cache).toBe('short')
  expect(store.take([1, 2, 3], 0)).toBeUndefined()
})

it('frees the least recently used conversation beyond the budget', () => {
  const { store, park, freed } = createStore(25)
  park('first', [1])
  park('second', [2])
  // Taken and parked again, so the other one is now the oldest.
  const first = store.take([1], 0)!
  store.park(first)
  park('third', [3])
  expect(freed).toEqual(['second'])
  expect(store.take([2], 0)).toBeUndefined()
})

it('does not keep a conversation that exceeds the budget by itself', () => {
  const { store, park, freed } = createStore(25)
  park('small', [1])
  park('huge', [2], 26)
  expect(freed).toEqual(['small', 'huge'])
  expect(store.take([2], 0)).toBeUndefined()
})

it('frees all conversations when it is cleared', () => {
  const { store, park, freed } = createStore(100)
  park('one', [1])
  park('two', [2])
  store.clear()
  expect(freed).toEqual(['one', 'two'])
})

it('counts the tokens of the common prefix', () => {
  expect(countCommonPrefix([1, 2, 3], [1, 2, 4])).toBe(2)
  expect(countCommonPrefix([], [1])).toBe(0)
  expect(countCommonPrefix([1, 2], [1, 2, 3])).toBe(2)
})
