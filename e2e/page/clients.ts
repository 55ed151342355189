// Clients of OpenAI's API and the AI SDK for the bare page.
export { createOpenAICompatible } from '@ai-sdk/openai-compatible'
export * as aiSdk from 'ai'
export { OpenAI } from 'openai'
