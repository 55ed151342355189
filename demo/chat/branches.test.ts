import type { ChatTurn } from 'rivulet/chat'
import { expect, it } from 'vitest'
import {
  chooseBranch,
  createBranches,
  listVersions,
  readPath,
  recordTurns,
  settleBranches,
  type Branches,
} from './branches.js'

const ask = (id: string): ChatTurn => ({ id, role: 'user', text: `question ${id}` })
const answer = (id: string, text = `answer ${id}`): ChatTurn => ({
  id,
  role: 'assistant',
  text,
  state: { kind: 'finished', finishReason: 'stop' },
})
const shownIds = (branches: Branches) => readPath(branches).map(({ turn }) => turn.id)

function branchesOf(...paths: ChatTurn[][]): Branches {
  const branches = createBranches()
  for (const path of paths) recordTurns(branches, path)
  return branches
}

it('an edited question starts a new branch and keeps the earlier one', () => {
  const first = [ask('q1'), answer('a1'), ask('q2'), answer('a2')]
  const branches = branchesOf(first, [ask('q1b')], [ask('q1b'), answer('a1b')])
  expect(shownIds(branches)).toEqual(['q1b', 'a1b'])
  expect(listVersions(branches, 'q1b')).toEqual(['q1', 'q1b'])
  chooseBranch(branches, 'q1')
  expect(shownIds(branches)).toEqual(['q1', 'a1', 'q2', 'a2'])
})

it('choosing a turn shows the branch below it that was shown last', () => {
  const branches = branchesOf([ask('q'), answer('a1')], [ask('q'), answer('a2')], [ask('r'), answer('b')])
  chooseBranch(branches, 'q')
  expect(shownIds(branches)).toEqual(['q', 'a2'])
  chooseBranch(branches, 'a1')
  chooseBranch(branches, 'r')
  chooseBranch(branches, 'q')
  expect(shownIds(branches)).toEqual(['q', 'a1'])
})

it('a streaming or continued turn stays one version and shows its newest text', () => {
  const branches = branchesOf([ask('q'), answer('a', 'Once')], [ask('q'), answer('a', 'Once upon')])
  expect(readPath(branches).at(-1)?.turn.text).toBe('Once upon')
  expect(listVersions(branches, 'a')).toEqual(['a'])
})

it('regenerating drops an empty answer', () => {
  const branches = branchesOf([ask('q'), answer('a1', '')], [ask('q'), answer('a2')])
  expect(listVersions(branches, 'a2')).toEqual(['a2'])
})

it('an answer that was streaming when the page closed is marked as cut until it is continued', () => {
  const writing: ChatTurn = { id: 'a', role: 'assistant', text: 'Once', state: { kind: 'streaming' } }
  const branches = branchesOf([ask('q'), writing])
  settleBranches(branches)
  expect(readPath(branches).at(-1)).toMatchObject({
    isCut: true,
    turn: { text: 'Once', state: { kind: 'finished', finishReason: 'cancelled' } },
  })
  recordTurns(branches, [ask('q'), answer('a', 'Once')])
  expect(readPath(branches).at(-1)?.isCut).toBe(true)
  recordTurns(branches, [ask('q'), answer('a', 'Once upon a time')])
  expect(readPath(branches).at(-1)?.isCut).toBe(false)
})

it('survives a structured clone', () => {
  const branches = branchesOf([ask('q'), answer('a1')], [ask('q'), answer('a2')])
  expect(shownIds(structuredClone(branches))).toEqual(['q', 'a2'])
})
