import { computed, signal, type ReadonlySignal } from '@preact/signals'
import type { ModelSupport } from 'rivulet'
import type { ChatSampling, ChatTool } from 'rivulet/chat'
import type { LoadState } from '../engine/engine-loader.js'
import { readFormat, type FormName } from '../forms/forms.js'
import { checkSchema, readOwnSchema, saveOwnSchema } from '../forms/own-schema.js'
import { tools } from '../tools/tools.js'

/** What the next answers can consist of: free text or a form, with or without tools. */
export interface AnswerMode {
  /** The chosen form; `text` while the loaded model cannot hold it. */
  readonly form: ReadonlySignal<FormName>
  /** Whether the model gets tools. False while the loaded model takes none. */
  readonly hasTools: ReadonlySignal<boolean>
  /** The text of the user's schema. */
  readonly ownSchema: ReadonlySignal<string>
  /** @returns why the loaded model cannot hold the form; undefined if it can */
  chooseForm(form: FormName): string | undefined
  useOwnSchema(text: string): void
  /** @returns why the loaded model cannot have tools; undefined if it can */
  switchTools(): string | undefined
  /** Returns the options for the next answer. */
  readOptions(): { readonly sampling: ChatSampling; readonly tools: readonly ChatTool[] }
}

export function createAnswerMode(load: ReadonlySignal<LoadState>): AnswerMode {
  const chosenForm = signal<FormName>('text')
  const wantsTools = signal(false)
  const ownSchema = signal(readOwnSchema())
  const supports = computed(() => (load.value.kind === 'ready' ? load.value.engine.info.supports : undefined))
  const form = computed(() =>
    explainForm(chosenForm.value, supports.value) === undefined ? chosenForm.value : 'text',
  )
  const hasTools = computed(() => wantsTools.value && explainTools(supports.value) === undefined)

  return {
    form,
    hasTools,
    ownSchema,
    chooseForm(chosen) {
      const reason = explainForm(chosen, supports.peek())
      chosenForm.value = reason === undefined ? chosen : 'text'
      return reason
    },
    useOwnSchema(text) {
      ownSchema.value = text
      saveOwnSchema(text)
    },
    switchTools() {
      const reason = explainTools(supports.peek())
      wantsTools.value = reason === undefined && !hasTools.peek()
      return reason
    },
    readOptions() {
      const checked = checkSchema(ownSchema.peek())
      const schema = checked.kind === 'valid' ? checked.schema : {}
      return {
        sampling: { responseFormat: readFormat(form.peek(), schema) },
        tools: hasTools.peek() ? tools : [],
      }
    },
  }
}

const loadingReason = 'The model is still loading. Choose this when it is ready.'

/** @returns why the model cannot hold the form; undefined if it can */
function explainForm(form: FormName, supports: ModelSupport | undefined): string | undefined {
  if (form === 'text') return undefined
  if (!supports) return loadingReason
  if (supports.formats.includes(form === 'json' ? 'json' : 'json-schema')) return undefined
  return `This model cannot answer in this form. ${supports.hints?.responseFormat ?? ''}`.trim()
}

/** @returns why the model cannot have tools; undefined if it can */
function explainTools(supports: ModelSupport | undefined): string | undefined {
  if (!supports) return loadingReason
  if (supports.options.includes('tools')) return undefined
  return 'This model has no tools: it cannot use the calculator, the clock or the page search here.'
}
