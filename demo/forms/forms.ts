import type { JsonSchema, ResponseFormat } from 'rivulet'

/** The forms that the user can choose for an answer. `text` is free text, `own` the user's own schema. */
export const formLabels = {
  text: 'Text',
  story: 'Story facts',
  tasks: 'To-do list',
  json: 'Any JSON',
  own: 'Your schema',
} as const

export type FormName = keyof typeof formLabels

const shortText = (maxLength: number) => ({ type: 'string', minLength: 1, maxLength }) as const

/** Every part is bounded, so that a very small model ends the answer too. */
const formSchemas = {
  story: {
    type: 'object',
    properties: {
      title: shortText(40),
      hero: {
        type: 'object',
        properties: {
          name: { type: 'string', pattern: '^[A-Z][a-z]{2,5}$' },
          age: { type: 'integer', minimum: 1, maximum: 99 },
        },
        required: ['name', 'age'],
        additionalProperties: false,
      },
      animals: {
        type: 'array',
        items: {
          enum: ['bear', 'bird', 'cat', 'dog', 'dragon', 'fish', 'fox', 'frog', 'mouse', 'owl', 'rabbit'],
        },
        minItems: 1,
        maxItems: 4,
      },
      place: { enum: ['a forest', 'a garden', 'a house', 'a park', 'a river', 'a town', 'the sea'] },
      opening: { type: 'string', pattern: "^[A-Z][A-Za-z ,']{30,90}\\.$" },
      pages: { type: 'integer', minimum: 4, maximum: 40 },
      endsWell: { type: 'boolean' },
    },
    required: ['title', 'hero', 'animals', 'place', 'opening', 'pages', 'endsWell'],
    additionalProperties: false,
  },
  tasks: {
    type: 'object',
    properties: {
      title: shortText(60),
      tasks: {
        type: 'array',
        items: {
          type: 'object',
          properties: {
            task: shortText(80),
            minutes: { type: 'integer', minimum: 1, maximum: 480 },
            isUrgent: { type: 'boolean' },
          },
          required: ['task', 'minutes', 'isUrgent'],
          additionalProperties: false,
        },
        minItems: 2,
        maxItems: 6,
      },
    },
    required: ['title', 'tasks'],
    additionalProperties: false,
  },
} satisfies Partial<Record<FormName, JsonSchema>>

/** Returns the option `responseFormat` for a form. @param ownSchema the user's schema */
export function readFormat(form: FormName, ownSchema: JsonSchema): ResponseFormat | undefined {
  if (form === 'text') return undefined
  if (form === 'json') return 'json'
  return { jsonSchema: form === 'own' ? ownSchema : formSchemas[form] }
}
