import { useMemo } from 'preact/hooks'
import './value-tree.css'

/** Deeper values are shown as JSON text: they would not fit on a narrow page. */
const maxDepth = 12

interface ValueTreeProps {
  readonly value: unknown
  /** Whether the last leaf can still grow. */
  readonly isGrowing: boolean
}

/** A JSON value as a tree. Names and values are text, never markup. */
export function ValueTree({ value, isGrowing }: ValueTreeProps) {
  return (
    <ul class="value-tree">
      <Node value={value} isGrowing={isGrowing} depth={0} />
    </ul>
  )
}

interface NodeProps extends ValueTreeProps {
  /** The name of the property; undefined for an item of a list, and for the whole value. */
  readonly name?: string | undefined
  readonly depth: number
}

/** Renders again only if its value has changed: the complete parts of a growing value are the same objects as before. */
function Node({ name, value, isGrowing, depth }: NodeProps) {
  return useMemo(() => {
    const label = name !== undefined && <span class="value-name">{name}</span>
    if (typeof value !== 'object' || value === null || depth >= maxDepth) {
      return (
        <li>
          {label} <Leaf value={value} isGrowing={isGrowing} />
        </li>
      )
    }
    const isList = Array.isArray(value)
    const entries = Object.entries(value)
    const children = (
      <ul>
        {entries.map(([key, child], index) => (
          <Node
            key={key}
            name={isList ? undefined : key}
            value={child}
            isGrowing={isGrowing && index === entries.length - 1}
            depth={depth + 1}
          />
        ))}
      </ul>
    )
    const size = isGrowing && entries.length === 0 ? '…' : countParts(entries.length, isList)
    if (depth === 0) {
      return (
        <li>
          <span class="value-size">{size}</span>
          {children}
        </li>
      )
    }
    return (
      <li>
        <details open>
          <summary>
            {label} <span class="value-size">{size}</span>
          </summary>
          {children}
        </details>
      </li>
    )
  }, [name, value, isGrowing, depth])
}

function countParts(count: number, isList: boolean): string {
  const noun = isList ? 'item' : 'field'
  return count === 1 ? `1 ${noun}` : `${count} ${noun}s`
}

function Leaf({ value, isGrowing }: ValueTreeProps) {
  const isText = typeof value === 'string'
  const kind = value === null ? 'null' : typeof value
  const text = isText ? value : JSON.stringify(value)
  const isEmpty = text === '' && !isGrowing
  return (
    <span class={`value-leaf ${isEmpty ? 'empty' : kind}`} dir="auto">
      {isEmpty ? 'empty text' : text}
      {isText && isGrowing && <span class="drop" />}
    </span>
  )
}
