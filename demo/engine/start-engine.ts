// Imported with the first model: what only shows the page is there without it.
import { availability, createEngine, type Devices, type Engine, type EngineOptions } from 'rivulet'

export function startEngine(options: EngineOptions): Promise<Engine> {
  return createEngine(options)
}

/** What this browser can compute on. */
export function readDevices(): Promise<Devices> {
  return availability()
}
