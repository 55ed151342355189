import { render } from 'preact'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { ValueTree } from './value-tree.js'

let host: HTMLElement
beforeEach(() => {
  host = document.body.appendChild(document.createElement('div'))
})
afterEach(() => {
  render(null, host)
  host.remove()
})

const show = (value: unknown, isGrowing = true) =>
  render(<ValueTree value={value} isGrowing={isGrowing} />, host)
const texts = (selector: string) =>
  Array.from(host.querySelectorAll(selector), ({ textContent }) => textContent)

describe('the tree of a value', () => {
  it('grows at its last leaf, and keeps the nodes of the complete parts', () => {
    const animals = ['cat', 'dog']
    show({ title: 'A cat', animals, hero: {} })
    const [first] = host.querySelectorAll('.value-leaf')
    const [list] = host.querySelectorAll('details')
    expect(texts('.value-size')).toEqual(['3 fields', '2 items', '…'])
    show({ title: 'A cat', animals, hero: { name: 'Ti' } })
    expect(texts('.value-leaf')).toEqual(['A cat', 'cat', 'dog', 'Ti'])
    expect(host.querySelectorAll('.drop')).toHaveLength(1)
    expect(host.querySelectorAll('.value-leaf')[0]).toBe(first)
    expect(host.querySelector('details')).toBe(list)
    // What the user has folded stays folded.
    list!.open = false
    show({ title: 'A cat', animals, hero: { name: 'Tim' }, pages: 3 }, false)
    expect(list!.open).toBe(false)
    expect(texts('.value-leaf')).toEqual(['A cat', 'cat', 'dog', 'Tim', '3'])
    expect(host.querySelector('.drop')).toBeNull()
  })

  it('shows names and texts of the model as text, never as markup', () => {
    const hostile = '<img src=x onerror=alert(1)>'
    show(
      JSON.parse(JSON.stringify({ [hostile]: hostile, proto: [hostile] }).replace('proto', '__proto__')),
      false,
    )
    expect(host.querySelector('img')).toBeNull()
    expect(texts('.value-name')).toEqual([hostile, '__proto__'])
    expect(texts('.value-leaf')).toEqual([hostile, hostile])
  })

  it('shows every kind of value, and what is empty', () => {
    show([null, true, -1.5, '', [], {}, 'a\nb'], false)
    expect(texts('.value-leaf')).toEqual(['null', 'true', '-1.5', 'empty text', 'a\nb'])
    expect(texts('.value-size')).toEqual(['7 items', '0 items', '0 fields'])
    show('only a text', false)
    expect(texts('.value-leaf')).toEqual(['only a text'])
  })

  it('shows what is very deep as JSON', () => {
    let deep: unknown = 'end'
    for (let level = 0; level < 500; level += 1) deep = [deep]
    show(deep, false)
    expect(host.querySelectorAll('li').length).toBeLessThan(20)
    expect(texts('.value-leaf')[0]).toMatch(/^\[\[.*"end".*\]\]$/)
  })
})
