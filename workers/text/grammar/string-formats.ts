/*
 * The patterns of the formats that a JSON schema can name. Each matches only valid texts, but not all of them: an e-mail
 * address has no quoted part, for example. Sources: JSON Schema 2020-12 validation, section 7.3, and the RFCs that it names.
 */

const leapYear = '(?:\\d\\d(?:0[48]|[2468][048]|[13579][26])|(?:[02468][048]|[13579][26])00)'
const date =
  `(?:\\d{4}-(?:(?:0[13578]|1[02])-(?:0[1-9]|[12]\\d|3[01])|(?:0[469]|11)-(?:0[1-9]|[12]\\d|30)|02-(?:0[1-9]|1\\d|2[0-8]))` +
  `|${leapYear}-02-29)`
const time = '(?:[01]\\d|2[0-3]):[0-5]\\d:[0-5]\\d(?:\\.\\d{1,6})?(?:Z|[+-](?:[01]\\d|2[0-3]):[0-5]\\d)'
const label = '[a-zA-Z0-9](?:[a-zA-Z0-9-]{0,61}[a-zA-Z0-9])?'
const host = `${label}(?:\\.${label}){0,2}`
const byte = '(?:25[0-5]|2[0-4]\\d|1\\d\\d|[1-9]\\d|\\d)'
const segment = "[a-zA-Z0-9._~!$&'()*+,;=:@-]"
const path = `(?:/${segment}*)*(?:\\?${segment}*)?(?:#${segment}*)?`
const uri = `(?:https?://${host}(?::[1-9]\\d{0,3})?${path}|(?:urn|tag|mailto):${segment}+)`

/** The sources of the patterns by format. They match whole texts. */
export const stringFormats: ReadonlyMap<string, string> = new Map([
  ['date-time', `${date}T${time}`],
  ['date', date],
  ['time', time],
  ['duration', 'P(?:\\d{1,4}W|\\d{1,4}D(?:T\\d{1,4}[HMS])?|T\\d{1,4}[HMS])'],
  ['email', `[a-zA-Z0-9_%+-]+(?:\\.[a-zA-Z0-9_%+-]+)*@${label}(?:\\.${label}){1,3}`],
  ['hostname', host],
  ['ipv4', `${byte}(?:\\.${byte}){3}`],
  ['ipv6', '[0-9a-f]{1,4}(?::[0-9a-f]{1,4}){7}'],
  ['uri', uri],
  ['uri-reference', `(?:${uri}|${path})`],
  ['uuid', '[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}'],
  ['json-pointer', '(?:/(?:[^~/]|~[01])*)*'],
  ['byte', '(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?'],
])

/** Formats that the specification defines, but that no pattern here describes. Any other format is only an annotation. */
export const unsupportedFormats: ReadonlySet<string> = new Set([
  'idn-email',
  'idn-hostname',
  'iri',
  'iri-reference',
  'uri-template',
  'relative-json-pointer',
  'regex',
])
