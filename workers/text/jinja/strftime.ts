const weekdays = ['Sunday', 'Monday', 'Tuesday', 'Wednesday', 'Thursday', 'Friday', 'Saturday']
const months = 'January February March April May June July August September October November December'.split(
  ' ',
)

/** Formats a local date as Python's `strftime` does on Linux, with English names. Keeps an unknown field. */
export function formatDate(date: Date, format: string): string {
  return format.replace(/%([-_0^]?)([A-Za-z%])/g, (whole, flag: string, letter: string) => {
    const field = Object.hasOwn(fields, letter) ? fields[letter]!(date) : undefined
    if (field === undefined) return whole
    if (typeof field === 'string') return flag === '^' ? field.toUpperCase() : field
    const [number, width, fill = '0'] = field
    if (flag === '-') return String(number)
    return String(number).padStart(width, flag === '_' ? ' ' : flag === '0' ? '0' : fill)
  })
}

/** A text, or a number with its width and the character that fills it. */
type Field = string | readonly [number: number, width: number, fill?: string]

const fields: Readonly<Record<string, (date: Date) => Field>> = {
  a: (date) => weekdays[date.getDay()]!.slice(0, 3),
  A: (date) => weekdays[date.getDay()]!,
  b: (date) => months[date.getMonth()]!.slice(0, 3),
  B: (date) => months[date.getMonth()]!,
  c: (date) => formatDate(date, '%a %b %e %H:%M:%S %Y'),
  C: (date) => [Math.floor(date.getFullYear() / 100), 2],
  d: (date) => [date.getDate(), 2],
  D: (date) => formatDate(date, '%m/%d/%y'),
  e: (date) => [date.getDate(), 2, ' '],
  f: (date) => [date.getMilliseconds() * 1000, 6],
  F: (date) => formatDate(date, '%Y-%m-%d'),
  h: (date) => months[date.getMonth()]!.slice(0, 3),
  H: (date) => [date.getHours(), 2],
  I: (date) => [hourOfTwelve(date), 2],
  j: (date) => [dayOfYear(date) + 1, 3],
  k: (date) => [date.getHours(), 2, ' '],
  l: (date) => [hourOfTwelve(date), 2, ' '],
  m: (date) => [date.getMonth() + 1, 2],
  M: (date) => [date.getMinutes(), 2],
  n: () => '\n',
  p: (date) => (date.getHours() < 12 ? 'AM' : 'PM'),
  r: (date) => formatDate(date, '%I:%M:%S %p'),
  R: (date) => formatDate(date, '%H:%M'),
  s: (date) => [Math.floor(date.getTime() / 1000), 0],
  S: (date) => [date.getSeconds(), 2],
  t: () => '\t',
  T: (date) => formatDate(date, '%H:%M:%S'),
  u: (date) => [date.getDay() || 7, 1],
  U: (date) => [Math.floor((dayOfYear(date) + 7 - date.getDay()) / 7), 2],
  V: (date) => [isoWeek(date).week, 2],
  G: (date) => [isoWeek(date).year, 4],
  g: (date) => [isoWeek(date).year % 100, 2],
  w: (date) => [date.getDay(), 1],
  W: (date) => [Math.floor((dayOfYear(date) + 7 - ((date.getDay() + 6) % 7)) / 7), 2],
  x: (date) => formatDate(date, '%m/%d/%y'),
  X: (date) => formatDate(date, '%H:%M:%S'),
  y: (date) => [date.getFullYear() % 100, 2],
  Y: (date) => [date.getFullYear(), 1],
  // Python's `datetime.now()` has no time zone.
  z: () => '',
  Z: () => '',
  '%': () => '%',
}

function hourOfTwelve(date: Date): number {
  return date.getHours() % 12 || 12
}

/** Counts from 0. */
function dayOfYear(date: Date): number {
  const start = Date.UTC(date.getFullYear(), 0, 1)
  return (Date.UTC(date.getFullYear(), date.getMonth(), date.getDate()) - start) / 86_400_000
}

/** The week of ISO 8601: it belongs to the year of its Thursday. */
function isoWeek(date: Date): { readonly year: number; readonly week: number } {
  const weekday = (date.getDay() + 6) % 7
  const thursday = new Date(date.getFullYear(), date.getMonth(), date.getDate() - weekday + 3)
  return { year: thursday.getFullYear(), week: Math.floor(dayOfYear(thursday) / 7) + 1 }
}
