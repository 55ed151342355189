/** What the page keeps as text in this browser: for good, or for as long as its tab is there. */
export interface TextStore {
  /** Undefined where there is nothing, or nothing can be kept. */
  read(key: string): string | undefined
  write(key: string, value: string): void
}

export const browserTexts = openTexts(() => localStorage)
export const tabTexts = openTexts(() => sessionStorage)

/** @param open throws where storage is off: what is chosen then lasts as long as the page */
function openTexts(open: () => Storage): TextStore {
  return {
    read(key) {
      try {
        return open().getItem(key) ?? undefined
      } catch {
        return undefined
      }
    },
    write(key, value) {
      try {
        open().setItem(key, value)
      } catch {
        // As above.
      }
    },
  }
}
