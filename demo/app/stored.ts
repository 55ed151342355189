/** Text values saved in this browser (`browserTexts`) or for the lifetime of the tab (`tabTexts`). */
export interface TextStore {
  /** Undefined if nothing is stored or storage is not available. */
  read(key: string): string | undefined
  write(key: string, value: string): void
}

export const browserTexts = openTexts(() => localStorage)
export const tabTexts = openTexts(() => sessionStorage)

/** @param open throws if storage is not available: nothing is saved then */
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
        // Storage is full or not available.
      }
    },
  }
}
