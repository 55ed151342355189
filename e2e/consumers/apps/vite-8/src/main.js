import { onnx } from 'rivulet/onnx'
import { streamStory } from './stream-story.js'

void streamStory((device) => onnx({ device }))
