// Prints Parquet files as JSON lines through hyparquet, for parquet_hyparquet_test.py:  node hyparquet_dump.mjs MODULES FILE... > FILE.js.ndjson
import fs from 'node:fs'
import path from 'node:path'
import { pathToFileURL } from 'node:url'

const [modules, ...files] = process.argv.slice(2)
const load = name => import(pathToFileURL(path.join(modules, name)).href)
const { parquetReadObjects } = await load('hyparquet/src/index.js')
const { compressors } = await load('hyparquet-compressors/src/index.js')

const parsers = {
  timestampFromMilliseconds: v => v * 1000n,
  timestampFromMicroseconds: v => v,
  timestampFromNanoseconds: v => v / 1000n,
  dateFromDays: v => v,
}
const hex = bytes => Buffer.from(bytes).toString('hex')

function text(v) {
  if (v === undefined || v === null) return 'null'
  if (typeof v === 'bigint' || typeof v === 'boolean') return String(v)
  if (typeof v === 'number') return Number.isFinite(v) ? (Object.is(v, -0) ? '-0.0' : String(v)) : JSON.stringify(String(v))
  if (typeof v === 'string') return JSON.stringify(v)
  if (v instanceof Uint8Array) return JSON.stringify('0x' + hex(v))
  if (Array.isArray(v) || ArrayBuffer.isView(v)) return '[' + Array.from(v, text).join(',') + ']'
  return '{' + Object.entries(v).map(([k, x]) => JSON.stringify(k) + ':' + text(x)).join(',') + '}'
}

for (const name of files) {
  const bytes = fs.readFileSync(name)
  const file = bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.byteLength)
  let out
  try {
    const rows = await parquetReadObjects({ file, compressors, parsers, utf8: false })
    out = rows.map(row => text(row) + '\n').join('')
  } catch (e) {
    out = JSON.stringify({ __error: String(e) }) + '\n'
  }
  fs.writeFileSync(name + '.js.ndjson', out)
}
