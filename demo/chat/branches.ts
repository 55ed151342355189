import type { ChatTurn } from 'rivulet/chat'

/**
 * A conversation with all its branches. Editing a question or regenerating an answer starts a branch there and keeps the
 * earlier ones. Plain data that can be cloned.
 */
export interface Branches {
  readonly nodes: Map<string, BranchNode>
  /** By the id of the turn before the fork; `root` before the first turn. */
  readonly forks: Map<string, Fork>
}

export interface BranchNode {
  readonly turn: ChatTurn
  readonly parent: string
  /** Whether the page was closed while this turn was streaming. */
  readonly isCut: boolean
}

/** The turns that follow the same turn, oldest first, and the one that is shown. */
interface Fork {
  readonly children: readonly string[]
  readonly chosen: string
}

const root = ''

export function createBranches(): Branches {
  return { nodes: new Map(), forks: new Map() }
}

/** Returns the shown branch, from the first turn. */
export function readPath({ nodes, forks }: Branches): readonly BranchNode[] {
  const path: BranchNode[] = []
  for (let fork = forks.get(root); fork; fork = forks.get(fork.chosen)) path.push(nodes.get(fork.chosen)!)
  return path
}

/** Records a chat's messages and shows them. A new message that has siblings starts a branch. */
export function recordTurns(branches: Branches, turns: readonly ChatTurn[]): void {
  let parent = root
  for (const turn of turns) {
    const known = branches.nodes.get(turn.id)
    if (known?.turn !== turn) {
      const isCut = known?.isCut === true && known.turn.text === turn.text
      branches.nodes.set(turn.id, { turn, parent, isCut })
    }
    if (!known) addChild(branches, parent, turn.id)
    else if (branches.forks.get(parent)!.chosen !== turn.id) chooseBranch(branches, turn.id)
    parent = turn.id
  }
}

function addChild({ nodes, forks }: Branches, parent: string, id: string): void {
  const { children = [], chosen } = forks.get(parent) ?? {}
  const replaced = chosen === undefined ? undefined : nodes.get(chosen)!.turn
  // Nobody goes back to an empty answer: the new one replaces it.
  const isEmpty = replaced?.role === 'assistant' && replaced.text === '' && !forks.has(replaced.id)
  if (isEmpty) nodes.delete(replaced.id)
  const siblings = isEmpty ? children.filter((child) => child !== chosen) : children
  forks.set(parent, { children: [...siblings, id], chosen: id })
}

/** Returns the ids of all versions of the turn `id`, oldest first. */
export function listVersions({ nodes, forks }: Branches, id: string): readonly string[] {
  return forks.get(nodes.get(id)!.parent)!.children
}

/** Shows this turn and the branch below it that was shown last. */
export function chooseBranch({ nodes, forks }: Branches, id: string): void {
  const { parent } = nodes.get(id)!
  forks.set(parent, { ...forks.get(parent)!, chosen: id })
}

/** Marks answers that were streaming when their page was closed as cancelled. Called after reading from the store. */
export function settleBranches({ nodes }: Branches): void {
  for (const [id, node] of nodes) {
    const { turn } = node
    if (turn.role === 'user' || turn.state.kind === 'finished' || turn.state.kind === 'failed') continue
    const state = { kind: 'finished', finishReason: 'cancelled' } as const
    nodes.set(id, { ...node, turn: { ...turn, state }, isCut: true })
  }
}
