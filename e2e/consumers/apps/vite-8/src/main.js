import { onnx } from 'rivulet/onnx'
import { device, streamStory } from './stream-story.js'

void streamStory(onnx({ device }))
