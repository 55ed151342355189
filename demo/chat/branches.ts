import type { ChatTurn } from 'rivulet/chat'

/**
 * A conversation with all that it could have been: whoever asks a question anew, or has it answered again, begins a branch
 * there, and the earlier ones stay. Plain data: structured clones keep it.
 */
export interface Branches {
  readonly nodes: Map<string, BranchNode>
  /** By the turn they are behind; `root` is where conversations begin. */
  readonly forks: Map<string, Fork>
}

export interface BranchNode {
  readonly turn: ChatTurn
  readonly parent: string
  /** Its page was closed while it was written. */
  readonly isCut: boolean
}

/** The turns that follow the same one, oldest first, and which of them is shown. */
interface Fork {
  readonly children: readonly string[]
  readonly chosen: string
}

const root = ''

export function createBranches(): Branches {
  return { nodes: new Map(), forks: new Map() }
}

/** The conversation that is shown, from its beginning. */
export function readPath({ nodes, forks }: Branches): readonly BranchNode[] {
  const path: BranchNode[] = []
  for (let fork = forks.get(root); fork; fork = forks.get(fork.chosen)) path.push(nodes.get(fork.chosen)!)
  return path
}

/** Takes a chat's messages in: new ones become branches where others stand already. They are what is shown then. */
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
  // An answer that never said anything is no branch that anybody would go back to.
  const isEmpty = replaced?.role === 'assistant' && replaced.text === '' && !forks.has(replaced.id)
  if (isEmpty) nodes.delete(replaced.id)
  const kept = isEmpty ? children.filter((child) => child !== chosen) : children
  forks.set(parent, { children: [...kept, id], chosen: id })
}

/** All versions of the turn `id`, oldest first. */
export function listVersions({ nodes, forks }: Branches, id: string): readonly string[] {
  return forks.get(nodes.get(id)!.parent)!.children
}

/** Shows this turn, and what was shown behind it last. */
export function chooseBranch({ nodes, forks }: Branches, id: string): void {
  const { parent } = nodes.get(id)!
  forks.set(parent, { ...forks.get(parent)!, chosen: id })
}

/** As a page finds them that was not there when they were written: nothing is being written any more. */
export function settleBranches({ nodes }: Branches): void {
  for (const [id, node] of nodes) {
    const { turn } = node
    if (turn.role === 'user' || turn.state.kind === 'finished' || turn.state.kind === 'failed') continue
    const state = { kind: 'finished', finishReason: 'cancelled' } as const
    nodes.set(id, { ...node, turn: { ...turn, state }, isCut: true })
  }
}
