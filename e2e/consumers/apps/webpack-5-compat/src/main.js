import { llamaCpp } from 'rivulet/llama-cpp'
import { llamaCppCompat } from 'rivulet/llama-cpp-compat'
import { streamStory } from './stream-story.js'

void streamStory((device) => llamaCpp({ device, compat: llamaCppCompat }), '/models/stories.gguf')
