// Addresses between text and bytes, straight from and to the message: nothing is allocated for encoding, and decoding
// makes the one string that is asked for. IPv6 text is written as RFC 5952 wants it.
//
// Invariant: a parser that returns false has not understood the text; what it has written meanwhile means nothing.

const decimal: readonly string[] = Array.from({ length: 256 }, (_, value) => String(value));
const hex2: readonly string[] = Array.from({ length: 256 }, (_, value) => value.toString(16).padStart(2, '0'));

/** The value of a hex digit, -1 when it is none. */
function hexDigit(code: number): number {
  if (code >= 48 && code <= 57) return code - 48;
  if (code >= 97 && code <= 102) return code - 87;
  return code >= 65 && code <= 70 ? code - 55 : -1;
}

/** Writes `10.0.0.1`, which is text[from, to), as 4 bytes. */
export function writeIp4(text: string, from: number, to: number, target: Uint8Array, offset: number): boolean {
  let at = from;
  for (let octet = 0; octet < 4; octet++) {
    if (octet > 0 && text.charCodeAt(at++) !== 46) return false;
    const start = at;
    let value = 0;
    while (at < to) {
      const digit = text.charCodeAt(at) - 48;
      if (digit < 0 || digit > 9) break;
      value = value * 10 + digit;
      at++;
    }
    const digits = at - start;
    if (digits === 0 || digits > 3 || value > 255 || (digits > 1 && text.charCodeAt(start) === 48)) return false;
    target[offset + octet] = value;
  }
  return at === to;
}

/** Writes `fe80::1`, which is text[from, to), as 16 bytes. */
export function writeIp6(text: string, from: number, to: number, target: Uint8Array, offset: number): boolean {
  let at = from;
  let written = 0;
  let gap = -1;
  if (text.charCodeAt(at) === 58) {
    if (text.charCodeAt(at + 1) !== 58 || to - at < 2) return false;
    gap = 0;
    at += 2;
  }
  while (at < to) {
    if (written === 16) return false;
    const start = at;
    let value = 0;
    while (at < to) {
      const digit = hexDigit(text.charCodeAt(at));
      if (digit < 0) break;
      value = value * 16 + digit;
      at++;
    }
    if (at < to && text.charCodeAt(at) === 46) {
      // An IPv4 address stands for the last two groups.
      if (written > 12 || !writeIp4(text, start, to, target, offset + written)) return false;
      written += 4;
      at = to;
      break;
    }
    if (at === start || at - start > 4) return false;
    target[offset + written] = value >> 8;
    target[offset + written + 1] = value;
    written += 2;
    if (at === to) break;
    if (text.charCodeAt(at) !== 58) return false;
    at++;
    if (at < to && text.charCodeAt(at) === 58) {
      if (gap >= 0) return false;
      gap = written;
      at++;
    } else if (at === to) {
      return false;
    }
  }
  if (gap < 0) return written === 16;
  if (written > 14) return false;
  const moved = written - gap;
  for (let back = 1; back <= moved; back++) target[offset + 16 - back] = target[offset + written - back]!;
  for (let zero = gap; zero < 16 - moved; zero++) target[offset + zero] = 0;
  return true;
}

/** Writes `02:fe:00:00:00:01` (or with `-`) as 6 bytes. */
export function writeMac(text: string, target: Uint8Array, offset: number): boolean {
  if (text.length !== 17) return false;
  const separator = text.charCodeAt(2);
  if (separator !== 58 && separator !== 45) return false;
  for (let octet = 0, at = 0; octet < 6; octet++, at += 3) {
    const high = hexDigit(text.charCodeAt(at));
    const low = hexDigit(text.charCodeAt(at + 1));
    if (high < 0 || low < 0 || (octet < 5 && text.charCodeAt(at + 2) !== separator)) return false;
    target[offset + octet] = high * 16 + low;
  }
  return true;
}

export function readIp4(bytes: Uint8Array, offset: number): string {
  return `${decimal[bytes[offset]!]!}.${decimal[bytes[offset + 1]!]!}.${decimal[bytes[offset + 2]!]!}.${decimal[bytes[offset + 3]!]!}`;
}

/** IPv6 text of 16 bytes: the first longest run of zero groups becomes `::`, mapped IPv4 keeps its dots. */
export function readIp6(bytes: Uint8Array, offset: number): string {
  let gap = -1;
  let gapLength = 1;
  let run = 0;
  for (let group = 0; group < 8; group++) {
    if ((bytes[offset + 2 * group]! | bytes[offset + 2 * group + 1]!) !== 0) {
      run = 0;
    } else if (++run > gapLength) {
      gapLength = run;
      gap = group - run + 1;
    }
  }
  if (gap === 0 && gapLength === 5 && bytes[offset + 10] === 0xff && bytes[offset + 11] === 0xff) {
    return `::ffff:${readIp4(bytes, offset + 12)}`;
  }
  let text = '';
  for (let group = 0; group < 8; group++) {
    if (group === gap) {
      text += '::';
      group += gapLength - 1;
      continue;
    }
    if (group > 0 && group !== gap + gapLength) text += ':';
    text += ((bytes[offset + 2 * group]! << 8) | bytes[offset + 2 * group + 1]!).toString(16);
  }
  return text;
}

export function readMac(bytes: Uint8Array, offset: number): string {
  return `${hex2[bytes[offset]!]!}:${hex2[bytes[offset + 1]!]!}:${hex2[bytes[offset + 2]!]!}:${hex2[bytes[offset + 3]!]!}:${hex2[bytes[offset + 4]!]!}:${hex2[bytes[offset + 5]!]!}`;
}

/** `0x` and two digits per byte. */
export function readHex(bytes: Uint8Array, offset: number, size: number): string {
  let text = '0x';
  for (let at = offset; at < offset + size; at++) text += hex2[bytes[at]!]!;
  return text;
}

/** Whether a text is `0x` and an even number of hex digits. */
export function isHex(text: string): boolean {
  return text.length % 2 === 0 && /^0x[0-9a-fA-F]*$/.test(text);
}

/** Writes hex text that isHex() has accepted. */
export function writeHex(text: string, target: Uint8Array, offset: number): void {
  for (let at = 2; at < text.length; at += 2) {
    target[offset++] = hexDigit(text.charCodeAt(at)) * 16 + hexDigit(text.charCodeAt(at + 1));
  }
}
