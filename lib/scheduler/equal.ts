// Deep equality of configuration values: plain objects, arrays, bytes, dates, bigint. A field that is undefined equals an
// absent one, because that is what a value becomes on its way through JSON.

/** Whether two values mean the same configuration. */
export function deepEqual(a: unknown, b: unknown): boolean {
  if (Object.is(a, b)) return true;
  if (typeof a !== 'object' || typeof b !== 'object' || a === null || b === null) return false;
  if (Array.isArray(a)) {
    if (!Array.isArray(b) || a.length !== b.length) return false;
    for (let i = 0; i < a.length; i += 1) if (!deepEqual(a[i], b[i])) return false;
    return true;
  }
  if (Array.isArray(b)) return false;
  if (a instanceof Uint8Array || b instanceof Uint8Array) {
    return a instanceof Uint8Array && b instanceof Uint8Array && Buffer.compare(a, b) === 0;
  }
  if (a instanceof Date || b instanceof Date) {
    return a instanceof Date && b instanceof Date && a.getTime() === b.getTime();
  }
  const left = a as Record<string, unknown>;
  const right = b as Record<string, unknown>;
  let defined = 0;
  for (const name in left) {
    if (left[name] === undefined) continue;
    defined += 1;
    if (!deepEqual(left[name], right[name])) return false;
  }
  for (const name in right) if (right[name] !== undefined) defined -= 1;
  return defined === 0;
}
