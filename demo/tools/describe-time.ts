/**
 * Returns the date and time of a zone as text.
 * @param timeZone an IANA name such as `Europe/Zurich`; by default the zone of this device
 * @throws Error with a sentence for the model
 */
export function describeTime(timeZone: string | undefined, now: Date): string {
  let format: Intl.DateTimeFormat
  try {
    format = new Intl.DateTimeFormat('en-GB', { dateStyle: 'full', timeStyle: 'medium', timeZone })
  } catch {
    throw new Error(`There is no time zone "${timeZone}". Use a name such as "Europe/Zurich".`)
  }
  return `${format.format(now)} (${format.resolvedOptions().timeZone})`
}
