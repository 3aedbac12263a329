// Values as JSON text, with what JSON lacks: bigint, bytes, dates, and numbers that are not finite.
//
//   { a: 1n }   ->   { "a": { "$": "bigint", "v": "1" } }
//
// Most values need none of that and are stored as they are; the others are marked by whoever stores them, so that reading
// back a million plain values costs nothing but JSON.parse. Invariant: unpack(JSON(pack(v))) equals v.

/** Whether JSON alone brings a value back unharmed. */
export function isPlain(value: unknown): boolean {
  switch (typeof value) {
    case 'string':
    case 'boolean':
      return true;
    case 'number':
      return Number.isFinite(value) && !Object.is(value, -0);
    case 'object':
      break;
    default:
      return false;
  }
  if (value === null) return true;
  if (Array.isArray(value)) {
    for (const item of value) if (!isPlain(item)) return false;
    return true;
  }
  if (value instanceof Uint8Array || value instanceof Date || 'toJSON' in value) return false;
  const record = value as Record<string, unknown>;
  for (const name in record) {
    if (name === '$' || name === '__proto__') return false;
    const field = record[name];
    if (field !== undefined && !isPlain(field)) return false;
  }
  return true;
}

/** A value in a form that JSON can carry. Throws TypeError for functions and symbols. */
export function pack(value: unknown): unknown {
  switch (typeof value) {
    case 'bigint':
      return { $: 'bigint', v: value.toString() };
    case 'number':
      return Number.isFinite(value) && !Object.is(value, -0)
        ? value
        : { $: 'number', v: Object.is(value, -0) ? '-0' : String(value) };
    case 'undefined':
      return { $: 'undefined' };
    case 'function':
    case 'symbol':
      throw new TypeError(`a ${typeof value} cannot be stored`);
    case 'object':
      break;
    default:
      return value;
  }
  if (value === null) return null;
  if (Array.isArray(value)) return value.map(pack);
  if (value instanceof Uint8Array) {
    return { $: 'bytes', v: Buffer.from(value.buffer, value.byteOffset, value.byteLength).toString('base64') };
  }
  if (value instanceof Date) return { $: 'date', v: value.getTime() };
  // Entries, not an object: names such as `$` and `__proto__` must come back as they were.
  return { $: 'object', v: Object.entries(value).map(([name, field]) => [name, pack(field)]) };
}

/** The value that was packed. */
export function unpack(stored: unknown): unknown {
  if (typeof stored !== 'object' || stored === null) return stored;
  if (Array.isArray(stored)) return stored.map(unpack);
  const { $: type, v } = stored as { $: string; v: unknown };
  switch (type) {
    case 'bigint':
      return BigInt(v as string);
    case 'number':
      return v === '-0' ? -0 : Number(v);
    case 'undefined':
      return undefined;
    case 'bytes':
      return new Uint8Array(Buffer.from(v as string, 'base64'));
    case 'date':
      return new Date(v as number);
    case 'object': {
      const result: Record<string, unknown> = {};
      for (const [name, field] of v as [string, unknown][]) {
        Object.defineProperty(result, name, {
          value: unpack(field),
          enumerable: true,
          writable: true,
          configurable: true,
        });
      }
      return result;
    }
    default:
      throw new TypeError(`a stored value has the unknown type ${type}`);
  }
}
