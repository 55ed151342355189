/** Returns a refused value as text for an error. Returns only the type of an object, because converting it could throw. */
export function describeValue(value: unknown): string {
  if (typeof value === 'string') return JSON.stringify(value)
  return Object(value) === value ? typeof value : String(value)
}
