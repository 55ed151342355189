import type { CapturedStep, Dispatch } from './dispatch-recorder.js'
import { readBindingNames } from './pipeline-names.js'

/** A dispatch, with its buffers by the names that they have in its shader. */
export interface NamedDispatch {
  readonly dispatch: Dispatch
  /** The names in the order of their bindings. */
  readonly names: string
  readonly buffers: ReadonlyMap<string, GPUBufferBinding>
}

/** Names the buffers of the dispatches of a step. */
export function nameDispatches({ capture, replay }: CapturedStep): readonly NamedDispatch[] {
  return replay.dispatches.map((dispatch) => {
    const [group, ...others] = dispatch.bindGroups
    const entries = (group && others.length === 0 && capture.bindGroups.get(group)) || []
    const names = readBindingNames(dispatch.pipeline) ?? new Map<number, string>()
    const buffers = new Map<string, GPUBufferBinding>()
    for (const { binding, resource } of entries) {
      const name = names.get(binding)
      if (name !== undefined && 'buffer' in resource) buffers.set(name, resource)
    }
    return { dispatch, names: [...names.values()].join(), buffers }
  })
}
