import type { ChatTool } from 'rivulet/chat'

/** The tools that the user can give to the model. Their code loads with the first call. */
export const tools = [
  {
    name: 'calculate',
    description:
      'Computes an arithmetic expression exactly. Use it for every calculation. Example: "12 * (3 + 4.5) / sqrt(2)".',
    parameters: describeParameters({ expression: 'The expression.' }, ['expression']),
    run: async (input) => (await import('./calculate.js')).calculate(readText(input, 'expression')),
  },
  {
    name: 'clock',
    description: 'Returns the current date and time.',
    parameters: describeParameters({
      timeZone: 'An IANA time zone such as "Europe/Zurich". By default the user’s.',
    }),
    async run(input) {
      const { describeTime } = await import('./describe-time.js')
      return describeTime(readText(input, 'timeZone', '') || undefined, new Date())
    },
  },
  {
    name: 'search_page',
    description:
      'Searches this page: the earlier messages of the chat, the name of the model, and its measured speed.',
    parameters: describeParameters({ query: 'One or a few words to find.' }, ['query']),
    async run(input) {
      const query = readText(input, 'query')
      const passages = (await import('./search-page.js')).searchPage(query, document)
      return passages.length > 0 ? { passages } : `Nothing on this page contains “${query}”.`
    },
  },
] as const satisfies readonly ChatTool[]

/** The names of the tools, for the user. */
export const toolTitles: ReadonlyMap<string, string> = new Map([
  ['calculate', 'Calculator'],
  ['clock', 'Clock'],
  ['search_page', 'Page search'],
] satisfies [(typeof tools)[number]['name'], string][])

function describeParameters(texts: Readonly<Record<string, string>>, required: readonly string[] = []) {
  const properties = Object.entries(texts).map(([name, description]) => [
    name,
    { type: 'string', description },
  ])
  return { type: 'object', properties: Object.fromEntries(properties), required, additionalProperties: false }
}

/** The arguments are a model's text: a runtime may not have held it to the schema. */
function readText(input: unknown, name: string, missing?: string): string {
  const value = (input as Readonly<Record<string, unknown>>)[name] ?? missing
  if (typeof value !== 'string') throw new Error(`"${name}" must be a text.`)
  return value
}
