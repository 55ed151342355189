'use client'

import { useEffect } from 'react'
import { onnx } from 'rivulet/onnx'
import { streamStory } from '../src/stream-story.js'

export default function Page() {
  useEffect(() => void streamStory((device) => onnx({ device })), [])
  return <output />
}
