// User input goes through the browser's real input pipeline (Chrome DevTools Protocol).
/// <reference types="@vitest/browser-playwright" />
import { afterEach, beforeEach, expect, it, vi } from 'vitest'
import { cdp } from 'vitest/browser'
import { createStickyScroll, type StickyScroll } from './sticky-scroll.js'

let page: HTMLElement
let content: HTMLElement
let scroll: StickyScroll

beforeEach(() => {
  page = document.createElement('div')
  page.tabIndex = 0
  page.style.cssText =
    'height: 200px; width: 300px; overflow-y: scroll; position: fixed; inset: 0 auto auto 0'
  content = page.appendChild(document.createElement('div'))
  document.body.append(page)
  scroll = createStickyScroll(page)
  grow(1000)
})
afterEach(() => page.remove())

let height = 0
function grow(px: number): void {
  height = px
  content.style.height = `${height}px`
  scroll.follow()
}

const readDistance = () => page.scrollHeight - page.clientHeight - page.scrollTop
const nextFrame = () => new Promise((resolve) => requestAnimationFrame(() => setTimeout(resolve, 0)))

/** Adds text for ten frames. */
async function stream(): Promise<void> {
  for (let frame = 0; frame < 10; frame += 1) {
    grow(height + 20)
    await nextFrame()
  }
}

/** Converts to coordinates of the whole browser page: the test runs in a frame of that page. */
function locate(x: number, y: number): { readonly x: number; readonly y: number } {
  const frame = window.frameElement?.getBoundingClientRect()
  const scale = frame === undefined ? 1 : frame.width / innerWidth
  return { x: (frame?.x ?? 0) + x * scale, y: (frame?.y ?? 0) + y * scale }
}

async function wheel(deltaY: number): Promise<void> {
  await cdp().send('Input.dispatchMouseEvent', { type: 'mouseWheel', deltaX: 0, deltaY, ...locate(100, 100) })
}

async function swipe(distance: number): Promise<void> {
  const touch = (type: 'touchStart' | 'touchMove' | 'touchEnd', y?: number) =>
    cdp().send('Input.dispatchTouchEvent', { type, touchPoints: y === undefined ? [] : [locate(100, y)] })
  await touch('touchStart', 100)
  for (let step = 1; step <= 5; step += 1) await touch('touchMove', 100 + (distance * step) / 5)
  await touch('touchEnd')
}

async function press(key: 'PageUp' | 'End'): Promise<void> {
  page.focus()
  const windowsVirtualKeyCode = key === 'PageUp' ? 33 : 35
  for (const type of ['rawKeyDown', 'keyUp'] as const) {
    await cdp().send('Input.dispatchKeyEvent', { type, key, code: key, windowsVirtualKeyCode })
  }
}

const waysUp: Readonly<Record<string, () => Promise<void>>> = {
  'with the wheel': () => wheel(-60),
  'with a finger': () => swipe(60),
  'with the keyboard': () => press('PageUp'),
  // Like dragging the scroll bar's thumb: the only event is `scroll`.
  'with the scroll bar': async () => void (page.scrollTop -= 60),
}

/** A swipe of a finger may move the page by another pixel some frames later. */
async function waitForRest(): Promise<void> {
  for (let still = 0, last = page.scrollTop; still < 5; last = page.scrollTop) {
    await nextFrame()
    still = page.scrollTop === last ? still + 1 : 0
  }
}

it('follows the end while text streams', async () => {
  await stream()
  expect(readDistance()).toBeLessThan(1)
  expect(scroll.isFollowing.value).toBe(true)
})

it.each(Object.entries(waysUp))('stops following when the user scrolls up %s', async (_, scrollUp) => {
  const streaming = stream()
  await nextFrame()
  await scrollUp()
  await streaming
  await stream()
  expect(scroll.isFollowing.value).toBe(false)
  await waitForRest()
  const { scrollTop } = page
  expect(readDistance()).toBeGreaterThan(100)
  await stream()
  expect(page.scrollTop).toBe(scrollTop)
})

it('follows again when the user scrolls back to the end', async () => {
  await wheel(-60)
  await vi.waitFor(() => expect(scroll.isFollowing.value).toBe(false))
  await vi.waitFor(() => expect(readDistance()).toBeGreaterThan(0))
  await wheel(10_000)
  await vi.waitFor(() => expect(scroll.isFollowing.value).toBe(true))
  await stream()
  expect(readDistance()).toBeLessThan(1)
})

it('resume() scrolls back to the end', async () => {
  await press('PageUp')
  await vi.waitFor(() => expect(scroll.isFollowing.value).toBe(false))
  scroll.resume()
  expect(scroll.isFollowing.value).toBe(true)
  expect(readDistance()).toBeLessThan(1)
})

it('keeps following when the text becomes shorter', async () => {
  grow(600)
  await nextFrame()
  expect(scroll.isFollowing.value).toBe(true)
  await stream()
  expect(readDistance()).toBeLessThan(1)
})

it('keeps following when the wheel turns up on a page too short to scroll', async () => {
  grow(100)
  await nextFrame()
  await wheel(-60)
  await nextFrame()
  expect(scroll.isFollowing.value).toBe(true)
})
