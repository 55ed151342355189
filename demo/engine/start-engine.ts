// Imported when the first model loads, so that the page itself appears without waiting for this code.
import { availability, createEngine, type Devices, type Engine, type EngineOptions } from 'rivulet'

export function startEngine(options: EngineOptions): Promise<Engine> {
  return createEngine(options)
}

/** Returns which devices this browser can compute on. */
export function readDevices(): Promise<Devices> {
  return availability()
}
