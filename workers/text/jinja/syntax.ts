// The syntax tree of a template.
import type { Text } from './text.js'

export type Expression =
  | { readonly kind: 'text'; readonly value: Text }
  | { readonly kind: 'constant'; readonly value: null | boolean | bigint | number }
  | { readonly kind: 'name'; readonly name: string }
  | { readonly kind: 'list' | 'tuple'; readonly items: readonly Expression[] }
  | { readonly kind: 'dict'; readonly entries: readonly (readonly [Expression, Expression])[] }
  | { readonly kind: 'attribute'; readonly object: Expression; readonly name: string }
  | { readonly kind: 'item'; readonly object: Expression; readonly index: Expression }
  | {
      readonly kind: 'slice'
      readonly start: Expression | undefined
      readonly stop: Expression | undefined
      readonly step: Expression | undefined
    }
  | { readonly kind: 'call'; readonly callee: Expression; readonly given: CallArguments }
  | FilterCall
  | {
      readonly kind: 'test'
      readonly operand: Expression
      readonly name: string
      readonly given: CallArguments
    }
  | { readonly kind: 'not' | 'negate' | 'plus'; readonly operand: Expression }
  | { readonly kind: 'and' | 'or'; readonly left: Expression; readonly right: Expression }
  | {
      readonly kind: 'arithmetic'
      readonly operator: string
      readonly left: Expression
      readonly right: Expression
    }
  | { readonly kind: 'concat'; readonly parts: readonly Expression[] }
  | {
      readonly kind: 'compare'
      readonly first: Expression
      readonly rest: readonly { readonly operator: string; readonly operand: Expression }[]
    }
  | {
      readonly kind: 'choose'
      readonly condition: Expression
      readonly value: Expression
      readonly otherwise: Expression | undefined
    }

export interface FilterCall {
  readonly kind: 'filter'
  /** Undefined in a filter block, which filters its body. */
  readonly operand: Expression | undefined
  readonly name: string
  readonly given: CallArguments
}

export interface CallArguments {
  readonly positional: readonly Expression[]
  readonly named: readonly (readonly [name: string, value: Expression])[]
  /** The list after `*`. */
  readonly spread: Expression | undefined
  /** The dict after `**`. */
  readonly namedSpread: Expression | undefined
}

export type Target =
  | { readonly kind: 'name'; readonly name: string }
  | { readonly kind: 'namespace'; readonly name: string; readonly attribute: string }
  | { readonly kind: 'tuple'; readonly items: readonly Target[] }

/** The parameters and the body of a macro or of a call block. */
export interface MacroBody {
  readonly name: string | undefined
  readonly parameters: readonly { readonly name: string; readonly default: Expression | undefined }[]
  readonly body: readonly Statement[]
  /** The names that the body uses. A macro takes extra arguments only if it uses `varargs` or `kwargs`. */
  readonly usedNames: ReadonlySet<string>
}

export type Statement =
  | { readonly kind: 'data'; readonly value: Text }
  | { readonly kind: 'print'; readonly value: Expression }
  | { readonly kind: 'set'; readonly target: Target; readonly value: Expression }
  | {
      readonly kind: 'set-block'
      readonly target: Target
      readonly filter: FilterCall | undefined
      readonly body: readonly Statement[]
    }
  | {
      readonly kind: 'if'
      readonly branches: readonly { readonly test: Expression; readonly body: readonly Statement[] }[]
      readonly otherwise: readonly Statement[]
    }
  | ForLoop
  | { readonly kind: 'macro'; readonly macro: MacroBody }
  | {
      readonly kind: 'call-block'
      readonly call: Expression & { readonly kind: 'call' }
      readonly caller: MacroBody
    }
  | { readonly kind: 'filter-block'; readonly filter: FilterCall; readonly body: readonly Statement[] }
  | {
      readonly kind: 'with'
      readonly variables: readonly (readonly [Target, Expression])[]
      readonly body: readonly Statement[]
    }
  | { readonly kind: 'scope'; readonly body: readonly Statement[] }
  | { readonly kind: 'break' | 'continue' }

export interface ForLoop {
  readonly kind: 'for'
  readonly target: Target
  readonly iterable: Expression
  readonly condition: Expression | undefined
  readonly isRecursive: boolean
  readonly body: readonly Statement[]
  readonly otherwise: readonly Statement[]
}
