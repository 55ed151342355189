/** What `expect.any()`, `expect.objectContaining()` and the like return. */
interface AsymmetricMatcher {
  asymmetricMatch(actual: unknown): boolean
}

function isMatcher(value: unknown): value is AsymmetricMatcher {
  return typeof (value as Partial<AsymmetricMatcher> | null | undefined)?.asymmetricMatch === 'function'
}

/** Compares plain data with an expected value, which can contain Playwright's asymmetric matchers. */
export function isEqual(actual: unknown, expected: unknown): boolean {
  if (isMatcher(expected)) return expected.asymmetricMatch(actual)
  const areObjects =
    typeof actual === 'object' && actual !== null && typeof expected === 'object' && expected !== null
  if (!areObjects) return Object.is(actual, expected)
  if (Array.isArray(actual) !== Array.isArray(expected)) return false
  const [left, right] = [actual, expected] as Readonly<Record<string, unknown>>[]
  const keys = new Set([...Object.keys(left!), ...Object.keys(right!)])
  return [...keys].every((key) => isEqual(left![key], right![key]))
}
