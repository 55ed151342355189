import { onnx } from 'rivulet/onnx'
import { streamStory } from './stream-story.js'

const worker = () => new Worker(new URL('./onnx.worker.js', import.meta.url), { type: 'module' })

void streamStory((device) => onnx({ device, worker }))
